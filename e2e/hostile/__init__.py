"""Programs of hostile tasks. Each tries what it must not be able to do, and prints as JSON how each attempt went.

They run in a task's container with the standard library alone. An attempt's answer is the name of the errno that refused it, or
what it got: `e2e/test_hostile.py` holds the answers to what they must be.
"""
