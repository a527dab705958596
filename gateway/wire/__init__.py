"""PostgreSQL's frontend/backend protocol 3.0 and 3.2 as values and bytes. Pure; it has no opinion on SQL or policy."""
