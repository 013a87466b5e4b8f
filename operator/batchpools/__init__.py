"""Azure Batch's pools, jobs and tasks as plain Kubernetes objects."""

__version__ = "0.1.0"
