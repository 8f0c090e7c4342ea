"""cgroup v1 and v2: paths, limits, counters, and kubelet's way of naming them."""
