"""What agent and controller share to serve metrics to Prometheus. Only `server` and `families` import
prometheus_client: a program that serves no metrics does not pay for it."""
