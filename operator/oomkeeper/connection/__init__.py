"""The connection to the API server, shared by agent and controller: where it is, who they are, TLS, retry.

Nothing here imports an HTTP library. Only kubeconfig.py imports PyYAML, and the agent never imports that.
"""
