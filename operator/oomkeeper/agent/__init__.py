"""The node's half: keep sysctls, witness kills, publish. One process per node, standard library only."""
