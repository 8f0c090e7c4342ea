"""The agent's client of the API server: requests on urllib3, lists parsed as they arrive, a reflector."""
