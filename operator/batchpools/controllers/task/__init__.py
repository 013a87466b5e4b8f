"""The leader's book of runs: what runs where, what waits, what is being written. All of it can be rebuilt after a restart.

`book` keeps it, `intake` follows the cache, `reports` follows the agents, `dispatcher` sends, `settler` writes, `takeover` begins,
`ledger` is what the rest of the operator sees (`core.ledger.RunLedger`, `hub.port.HubListener`).
"""
