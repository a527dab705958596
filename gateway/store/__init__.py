"""The gateway's own memory: requests, audit, outbox, people, replicas, sessions. One Store interface, two stores.

postgres.py is the real one (schema.sql, queries.sql); memory.py is a verified fake: the same contract tests run on both.
The interface is port.py.
"""
