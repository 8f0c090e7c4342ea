"""Keep oom_score_adj of the processes that a node's entries select."""
