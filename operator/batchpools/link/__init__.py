"""The wire between the hub and the agents: message types, framing, versions. Shared by both ends, imports neither."""
