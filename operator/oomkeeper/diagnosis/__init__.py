"""Pure functions: the facts of one OOM event in; cause, contributors and advice out."""
