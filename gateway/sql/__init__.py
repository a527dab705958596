"""What a statement does, read from PostgreSQL's own grammar. Pure; only parse.py imports pglast.

    text --parse.read--> tree --effects.read_statement--> Statement --resolve.resolve(catalog, search_path)--> Statement
                                  |                            |
                    commands.py (tables of tags)     classes, relations, columns, functions ...
                    queries.py + scope.py (SELECT and DML)

Nothing is let through as a read before resolve() has seen it. EXECUTE, FETCH and MOVE get their effects from effects.named().
"""
