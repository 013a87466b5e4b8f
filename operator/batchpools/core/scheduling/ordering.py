"""Decides whose turn it is: priority first; among equals the job that was given fewest slots; then age. Deterministic."""

from batchpools.core.scheduling.book import JobQueue

Turn = tuple[int, int, float, str]


def turn(job: JobQueue) -> Turn:
    """Smaller comes first."""
    return (-job.priority, job.given, job.created, job.uid)
