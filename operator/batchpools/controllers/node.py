"""Shell of the nodes."""
