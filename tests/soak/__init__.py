"""The soak: real kills in cgroups and pods without a pause, while everything else fails."""
