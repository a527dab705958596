"""Measurements, never tests: `python -m bench [NAME...]`. One file a measurement; docs/performance.md quotes a run.

result.py   rows, percentiles, table, JSON            machine.py  what /proc says: load, memory, CPU of a process
stack.py    a gateway process and all that it needs   client.py   a PostgreSQL client that costs next to nothing
ways.py     pgbouncer, haproxy, a bare relay beside it drain.py    a client that only counts bytes
pgbench.py  pgbench and the CPU it caused meanwhile   ratios.py   figures of interleaved runs against a baseline
login.py    a client's answers at login               certificate.py  TLS for all of them
relay.py    a relay that does nothing, to compare with
goals.py    `python -m bench table`: goal, accepted, measured, verdict
plot.py     the charts
"""
