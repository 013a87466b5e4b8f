"""Composition root of the operator: the only place that builds things."""
