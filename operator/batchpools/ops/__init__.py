"""The aggregated API, group ops.batchpools.dev: logs and explanations from this replica's cache and sessions.

It writes nothing.
"""
