"""Thin shells: they wake on edges, read the cache, ask the core for a plan, have it applied.

No decision is taken here.
"""
