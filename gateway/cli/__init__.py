"""The command line: one file a verb (typer). __main__ mounts them."""
