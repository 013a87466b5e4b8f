"""What is decided, and nothing else: pure functions from frozen views to plans.

No I/O, no clock, no randomness, no asyncio, no logging: time and identity come in as arguments, reasons go out as values.
"""
