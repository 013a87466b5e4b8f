"""Decisions about job schedules: when a job is due, which one is made, when a schedule ends, what its status says."""
