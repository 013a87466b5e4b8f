"""Decisions about pools and their nodes: how many, which leave, what a node pod looks like, how a node stands."""
