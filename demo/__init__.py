"""`make demo`: the main job for real, first on this host alone, then on a cluster.

Each step says what it does and why, shows the commands that a person could type, and verifies what it tells:
a fact that does not hold ends the demo with exit code 1. The machine is left as it was found.
"""
