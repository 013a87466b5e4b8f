"""Faults on a real cluster, and the check that no task was lost by them, run twice or changed after its end."""
