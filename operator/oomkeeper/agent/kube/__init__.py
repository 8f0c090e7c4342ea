"""The agent's own small way to the API server, on the standard library's HTTP client."""
