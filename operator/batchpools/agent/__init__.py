"""The agent on a node: policy between the hub and the runner. It imports no kopf, no API client, no controllers."""
