"""What a running service tells Prometheus, by level: the host, the service, the model."""
