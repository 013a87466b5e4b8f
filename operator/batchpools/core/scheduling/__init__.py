"""Which waiting task goes to which node, and why the others wait."""
