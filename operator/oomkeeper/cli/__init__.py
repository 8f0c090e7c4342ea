"""The commands `oomkeeper` and `kubectl oom`: one file per verb, which imports what it needs when called."""
