"""The operator's end of the link: authenticated sessions of agents, messages out and in. It decides nothing about tasks."""
