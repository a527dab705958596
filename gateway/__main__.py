"""`hoop`, and `python -m gateway`: one typer app, one line a verb in VERBS. No behaviour lives here.

Exit codes: 0 ok, 1 a finding or refusal, 2 usage or configuration.
"""

from collections.abc import Callable, Mapping
from typing import Any

import typer

from gateway.cli.audit import app as audit
from gateway.cli.check import check
from gateway.cli.demo import demo
from gateway.cli.explain import explain
from gateway.cli.manifest import app as manifest
from gateway.cli.serve import serve
from gateway.cli.token import token

#: Verb -> its function, or a typer app of its own where it has verbs below it (`hoop audit verify`).
VERBS: Mapping[str, Callable[..., Any] | typer.Typer] = {
    "serve": serve,
    "demo": demo,
    "check": check,
    "explain": explain,
    "token": token,
    "audit": audit,
    "manifest": manifest,
}


def make() -> typer.Typer:
    """Make the app with every verb mounted."""
    app = typer.Typer(
        name="hoop",
        help="A PostgreSQL gateway that holds destructive statements until a reviewer clicks Approve in chat.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,  # its tracebacks print local variables, and those hold secrets
    )
    app.callback()(_several)  # without a callback typer turns a single verb into the app itself
    for verb, what in VERBS.items():
        if isinstance(what, typer.Typer):
            app.add_typer(what, name=verb)
        else:
            app.command(verb)(what)
    return app


def _several() -> None: ...


def main() -> None:
    """Run the command line and exit with its code."""
    make()(prog_name="hoop")


if __name__ == "__main__":
    main()
