"""The node's half: enforce sysctls, record kills, publish. One process per node, within a memory budget."""
