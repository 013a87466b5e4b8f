"""Shell of the tasks."""
