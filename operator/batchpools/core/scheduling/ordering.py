"""Decides whose turn it is: priority first; among equals the job that was given fewest slots; then age. Deterministic.

Within a job its manager goes first, then age.
"""

Turn = tuple[int, int, float, str]

MANAGER, ORDINARY = 0, 1  # rank of a task in its job; smaller comes first


def turn_of(priority: int, given: int, created: float, uid: str) -> Turn:
    """When it is a job's turn; smaller comes first. given: slots since it became runnable; created: Unix seconds."""
    return (-priority, given, created, uid)
