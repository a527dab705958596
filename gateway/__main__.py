"""`hoop`, and `python -m gateway`: one typer app, one line a verb in VERBS. No behaviour lives here.

Only the verb that was asked for is imported: `hoop token` must not wait a second and a half for a gateway's libraries.
Exit codes: 0 ok, 1 a finding or refusal, 2 usage or configuration.
"""

import sys
import tomllib
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway import compiled

_PACKAGE = "hoop-gate"

#: Verb -> what `hoop --help` says of it. Its function, or a typer app named `app` where there are verbs below it
#: (`hoop audit verify`), is in the module of its name.
VERBS: Mapping[str, str] = {
    "serve": "Run the gateway; settings come from the environment.",
    "demo": "Run the gateway on this machine with a database, an issuer and a chat of its own.",
    "check": "Validate a policies file and run its tests.",
    "explain": "Say what policy answers to a statement, and why. Nothing is executed.",
    "token": "Print an access token, to be used as the password (PGPASSWORD).",
    "audit": "Ask the audit log, verify it, export it.",
    "pending": "List what waits for a decision.",
    "doctor": "Look at everything that the gateway needs, and say what to do about it.",
    "manifest": "Print the app manifest to upload to a chat platform.",
}


def make(words: tuple[str, ...] = tuple(VERBS)) -> typer.Typer:
    """Make the app. Verbs that are not among `words` have a name and a line of help, and do nothing."""
    app = typer.Typer(
        name="hoop",
        help="A PostgreSQL gateway that holds destructive statements until a reviewer clicks Approve in chat.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,  # its tracebacks print local variables, and those hold secrets
    )
    app.callback()(_options)  # without a callback typer turns a single verb into the app itself
    for verb, says in VERBS.items():
        what = _load(verb) if verb in words else _several
        if isinstance(what, typer.Typer):
            app.add_typer(what, name=verb, short_help=says)
        else:
            app.command(verb, short_help=says)(what)
    return app


def _load(verb: str) -> Callable[..., Any] | typer.Typer:
    module = import_module(f"gateway.cli.{verb}")
    found: Callable[..., Any] | typer.Typer = getattr(module, "app", None) or getattr(module, verb)
    return found


def _several() -> None: ...


def _tell_version(wanted: bool) -> None:
    if wanted:
        built = len(compiled.in_use())
        some = f"{built} of {len(compiled.MODULES)} modules " if 0 < built < len(compiled.MODULES) else ""
        typer.echo(f"{_PACKAGE} {_version()} ({some}{'compiled' if built else 'not compiled'})")
        raise typer.Exit


def _version() -> str:
    """As installed; of a checkout that nobody installed, what its pyproject.toml says."""
    try:
        return version(_PACKAGE)
    except PackageNotFoundError:
        project = Path(__file__).parents[1] / "pyproject.toml"
        return str(tomllib.loads(project.read_text("utf-8"))["project"]["version"])


def _options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_tell_version, is_eager=True, help="Print the version, and whether it is compiled."
        ),
    ] = False,
) -> None: ...


def main() -> None:
    """Run the command line and exit with its code."""
    make(tuple(sys.argv[1:2]))(prog_name="hoop")


if __name__ == "__main__":
    main()
