"""Decisions about single tasks: the life of a run, retry and requeue, what the status says."""
