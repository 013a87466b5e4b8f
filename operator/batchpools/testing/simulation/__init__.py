"""A deterministic world: real replicas and agents, each a process of its own, a played network, runner and kubelet."""
