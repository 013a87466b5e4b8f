"""kubectl-batch: reads and explains pools, nodes, jobs, tasks, schedules and packages with the user's own rights.

One file a verb; a verb is a module with `add(verbs, common)` and a coroutine `run`. It has no rights of its own.
"""
