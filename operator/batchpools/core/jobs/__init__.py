"""Decisions about jobs: which tasks to create, when a job ends, what its status says."""
