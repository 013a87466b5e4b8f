"""The leader's book of runs: what runs where, what waits, what is being written. All of it can be rebuilt after a restart.

`book` keeps it (`entry`, `nodes`, `claims`, `tally`), `intake` follows the cache, `inventory` and `reports` follow the agents,
`takeover` begins after an election, `dispatcher` sends, `settler` decides about ends, `writer` writes, `live` asks, `sweep`
repeats. `ledger` puts them together: it is what the rest of the operator sees (`core.ledger.RunLedger`, `hub.port.HubListener`).
"""
