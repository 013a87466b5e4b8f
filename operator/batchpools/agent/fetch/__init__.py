"""Gets one thing over HTTP onto the node, whole or not at all. It decides nothing; `web` is imported when first needed."""
