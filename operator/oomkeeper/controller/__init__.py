"""The controller: thin kopf handlers over pure functions; policies to OOMNodes, incidents to summaries."""
