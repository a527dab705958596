"""Measurements, never tests: `python -m bench [NAME...]`. One file a measurement; docs/performance.md quotes a run.

result.py   rows, percentiles, table, JSON            machine.py  what /proc says: load, memory, CPU of a process
stack.py    a gateway process and all that it needs   client.py   a PostgreSQL client that costs next to nothing
relay.py    a relay that does nothing, to compare with
"""
