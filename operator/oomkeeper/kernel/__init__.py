"""What Linux says and takes: kernel log, OOM reports, cgroups, /proc, sysctls. Knows nothing of Kubernetes
objects."""
