"""The cluster's half: thin kopf handlers over pure functions; policies to nodes, incidents to summaries."""
