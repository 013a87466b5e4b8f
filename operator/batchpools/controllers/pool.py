"""Shell of the pools."""
