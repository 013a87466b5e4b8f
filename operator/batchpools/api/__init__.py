"""What users write and read: kinds, fields, states, reasons and names. No behaviour, no I/O.

`names`, `states`, `reasons` and `durations` are plain Python, so that the agent can use them;
the models (`pool`, `poolnode`, `job`, `task`) are pydantic and generate the CRDs.
"""
