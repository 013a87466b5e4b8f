"""User stories on a real cluster, with real containers: one test a story. Needs `make up`."""
