"""Application packages: what a reference means, what a pod was made with, what nodes have said. Pure."""
