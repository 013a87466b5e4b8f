"""kubectl-batch: reads and explains pools, nodes, jobs and tasks with the user's own rights. It has no rights of its own."""
