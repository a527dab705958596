"""What a statement does, read from PostgreSQL's own grammar. Pure; the only room that imports pglast (parse.py)."""
