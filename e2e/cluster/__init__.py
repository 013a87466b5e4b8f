"""A cluster to run on: what the user names, else kind, else a local Kubernetes built from Go modules.

`python -m e2e.cluster up | down | status | env | load-image | leftovers`.
"""
