"""The only door to the API server: client, errors, informers, cache, work queue, applier, lease.

It decodes into `core.views`, carries out `core.plan`, and decides nothing about batch.
"""
