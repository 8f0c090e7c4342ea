"""Answer what a planned change would do on this node, without changing anything."""
