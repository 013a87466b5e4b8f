"""Shell of the jobs."""
