"""`hoop audit`: ask the record, verify it, export it.

    hoop audit user:ann verb:delete last:7d      the grammar of /hoop audit (gateway/audit/query.py)
    hoop audit verify                            every chain of store and spool; exit 1 on a finding
    hoop audit export --format csv last:30d      everything that matches, for a spreadsheet or a program

Whoever can run this has the store's DSN, so nothing is hidden from them. What lives here: options, and how answers look
in a terminal. Texts of clients are shown with control characters made visible: a statement can't write to the terminal.
"""

import asyncio
import json
import os
import re
import socket
import time
import unicodedata
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from enum import Enum
from math import ceil, floor
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import typer
from typer.core import TyperGroup

from bots import recorded
from bots.texts import count
from gateway.audit.entry import Value
from gateway.audit.exposure import exposure
from gateway.audit.log import GRACE, ChainReport, Report, logged_checkpoints, verify
from gateway.audit.query import FILTER_KEYS, MAX_LIMIT, Query, QueryError, asks_logins, describe, timestamp
from gateway.audit.spreadsheet import as_csv
from gateway.cli.listing import Listing, show
from gateway.errors import GatewayError
from gateway.policy.verbs import asked
from gateway.store.port import Store
from gateway.store.postgres import PostgresStore

_SHOWN_SQL = 60
#: Characters of a request's id (gateway/relay/server.py).
_ID = 10

_T = TypeVar("_T")


class ExportFormat(Enum):
    """What `export` writes."""

    JSONL = "jsonl"
    CSV = "csv"


class _Asks(TyperGroup):
    """`hoop audit WORDS` is `hoop audit ask WORDS`: what is not the name of a command begins a query."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = ["ask", *args]
        return super().parse_args(ctx, args)


_HELP = "\n\n".join(
    (
        "Ask the audit log, verify it, export it. Each statement appears once, as it ended.",
        "hoop audit user:ann verb:delete last:7d (options: --store DSN, --json)",
        f"Filters: {' '.join(FILTER_KEYS)}.",
        "-key:value negates, commas separate alternatives, * and ? match anything.",
        "login:refused (accepted, any) asks for logins in the place of statements.",
        "Times: last:7d, since: and until: with a date, today or 10m.",
        "Options: limit:20, sort:time|rows|duration, format:table|csv|json.",
        'Or ask: who ran "UPDATE customers" last:30d',
        "What waits for a decision now: hoop pending.",
    )
)

app = typer.Typer(
    cls=_Asks,
    help=_HELP,
    subcommand_metavar="[QUERY]... | COMMAND [ARGS]...",
    pretty_exceptions_enable=False,  # its tracebacks print local variables, and those hold secrets
)

Words = Annotated[list[str] | None, typer.Argument(help="The query; nothing: the last 24 hours.", metavar="QUERY")]
StoreOption = Annotated[
    str,
    typer.Option(
        "--store", metavar="DSN", envvar="HOOP_STORE", show_envvar=True, help="The store (or HOOP_STORE_FILE)."
    ),
]
_QUERY_SETTINGS = {"ignore_unknown_options": True}  # -user:ann is a negated filter, not an option


@app.command("ask", hidden=True, context_settings=_QUERY_SETTINGS)
def ask(
    words: Words = None,
    *,
    store: StoreOption = "",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object: query, total, entries.")] = False,
) -> None:
    """Ask the audit log; `hoop audit --help` has the grammar."""
    query = _parsed(words)
    entries, total = with_store(store, lambda opened: opened.audit(query))
    answer = with_store(store, lambda opened: exposure(query, opened.audit)) if query.exposure else []
    if as_json or query.format == "json":
        typer.echo(
            json.dumps(
                {
                    "query": describe(query),
                    "total": total,
                    **({"answer": answer} if answer else {}),
                    "entries": entries,
                },
                ensure_ascii=False,
            )
        )
    elif query.format == "csv":
        typer.echo(as_csv(entries), nl=False)
    else:
        for each in answer:
            typer.echo(visible(each))
        if entries:
            show(listing(query, entries, total))
        else:
            typer.echo(f"Nothing matches {_described(query)}")
        if any(each.key == "decision" and "held" in each.values and not each.negated for each in query.filters):
            typer.echo("What still waits has not ended, so it is not among them: hoop pending")


@app.command("export", context_settings=_QUERY_SETTINGS)
def export(
    words: Words = None,
    *,
    store: StoreOption = "",
    form: Annotated[
        ExportFormat, typer.Option("--format", help="JSON lines, or CSV for a spreadsheet.")
    ] = ExportFormat.JSONL,
) -> None:
    """Write everything that matches the query (by default the last 24 hours) to standard output, times in UTC."""
    query = replace(_parsed(words), limit=MAX_LIMIT)
    if any(word.startswith("limit:") for word in words or ()):
        _refuse("limit: has no meaning here: export writes everything that matches")

    async def write(opened: Store) -> None:
        if form is ExportFormat.CSV:
            typer.echo(as_csv([]), nl=False)
        async for page in _pages(opened, query):
            typer.echo(as_csv(page, header=False) if form is ExportFormat.CSV else as_jsonl(page), nl=False)

    with_store(store, write)


@app.command("verify")
def verify_log(
    *,
    store: StoreOption = "",
    spool: Annotated[
        Path | None,
        typer.Option("--spool", envvar="HOOP_SPOOL", help="This host's spool directory. Default: ./spool, if there."),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option("--key-file", envvar="HOOP_AUDIT_KEY_FILE", help="Holds the audit key (or HOOP_AUDIT_KEY)."),
    ] = None,
    log: Annotated[
        Path | None,
        typer.Option("--log", help="The gateways' JSON log: its checkpoints show a chain's end cut off everywhere."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object: ok, chains with their findings.")] = False,
) -> None:
    """Verify every chain of the store and of this host's spool against each other and against all checkpoints.

    Exit 0: all of them are whole. Exit 1: a finding, or no chain at all.
    """
    key = _key(key_file)
    directory = spool or (Path("spool") if Path("spool").is_dir() else None)
    if directory is None and not _dsn(store):
        _refuse("nothing to verify: set HOOP_STORE (--store), HOOP_SPOOL (--spool) or both")
    try:
        logged = logged_checkpoints(log.read_text(encoding="utf-8", errors="replace").splitlines()) if log else []
    except OSError as error:
        _refuse(f"{log} can't be read: {error.strerror}")

    async def look(opened: Store | None) -> Report:
        return await verify(opened, directory, key, host=socket.gethostname(), logged=logged, grace=GRACE)

    report = with_store(store, look) if _dsn(store) else _run(look(None))
    typer.echo(json.dumps(as_object(report), ensure_ascii=False) if as_json else as_lines(report))
    raise typer.Exit(0 if report.ok else 1)


# How answers look


def listing(query: Query, entries: Sequence[Mapping[str, Value]], total: int) -> Listing:
    """One row a statement, its request's id below it; times in the zone of this terminal. It fits into 80 columns."""
    zone = datetime.now().astimezone().tzname()
    caption = f"{len(entries):,} of {count(total, 'login' if asks_logins(query) else 'statement')}, times in {zone}"
    return Listing(
        ("time", "who", "statement", "rows", "decision"),
        [tuple(map(visible_lines, _row(entry))) for entry in entries],
        caption,
        _described(query),
        whole=((0, len("2026-01-31")), (2, _ID)),  # ids are copied, so they stay in one piece
        numbers=(3,),
    )


def _described(query: Query) -> str:
    """The query as it was understood, to the second."""
    return visible(describe(replace(query, since=floor(query.since), until=ceil(query.until))))


def _row(entry: Mapping[str, Value]) -> tuple[str, ...]:
    when = datetime.fromtimestamp(timestamp(str(entry["at"]))).astimezone()
    sql = " ".join(str(entry.get("sql") or entry.get("tag") or "").split())
    shown = sql if len(sql) <= _SHOWN_SQL else sql[: _SHOWN_SQL - 3] + "..."
    shown = f"{shown}{recorded.also(entry)}" or recorded.what(entry)
    who = (
        [recorded.who(entry)]
        if recorded.is_login(entry)
        else [_one_line(entry.get(name)) for name in ("user", "target")]
    )
    return (
        f"{when:%Y-%m-%d}\n{when:%H:%M:%S}",
        "\n".join(filter(None, who)),
        "\n".join(each for each in (shown, _one_line(entry.get("request"))) if each),
        recorded.rows(entry),
        _one_line(recorded.decision(entry)),
    )


def _one_line(value: Value) -> str:
    return "" if value is None else " ".join(str(value).split())


def as_jsonl(entries: Sequence[Mapping[str, Value]]) -> str:
    """One JSON object a line."""
    return "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)


def as_lines(report: Report) -> str:
    """One line a chain, its findings and notes below it, and a sentence."""
    lines: list[str] = []
    for chain in report.chains:
        lines.append(f"{'WRONG' if chain.findings else 'ok':<5} {visible(chain.replica)}  {_reach(chain)}")
        lines += [f"        {visible(str(finding))}" for finding in chain.findings]
        lines += [f"        noted: {visible(note)}" for note in chain.notes]
    if not report.chains:
        lines.append("no chain at all: nothing was ever recorded here, or everything is gone")
    elif report.ok:
        lines.append(f"the log is intact: {count(len(report.chains), 'chain')}, {_entries(report)}")
    else:
        lines.append(f"the log is NOT intact: {count(len(report.findings), 'finding')}")
    return "\n".join(lines)


def _entries(report: Report) -> str:
    number = sum(map(_length, report.chains))
    return f"{number:,} entr{'y' if number == 1 else 'ies'}"


def as_object(report: Report) -> dict[str, Any]:
    """The report for a program."""
    return {
        "ok": report.ok,
        "chains": [
            asdict(chain)
            | {"findings": [asdict(finding) | {"wrong": finding.wrong.value} for finding in chain.findings]}
            for chain in report.chains
        ],
    }


def _reach(chain: ChainReport) -> str:
    copies = (("store", chain.in_store), ("spool", chain.in_spool))
    return ", ".join(f"{where} #{last}" for where, last in copies if last is not None)


def _length(chain: ChainReport) -> int:
    return max(chain.in_store or 0, chain.in_spool or 0)


def visible(text: str) -> str:
    """The text with control, format and surrogate characters (escape sequences, bidi overrides) written as escapes."""
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in ("Cc", "Cf", "Cs") else char
        for char in text
    )


# Settings


def as_text(words: Sequence[str]) -> str:
    """The query's text from arguments: the shell has taken the quotes away, so a word with blanks gets them back.

    A single argument is the whole query as it is: hoop audit 'user:ann text:"drop table"'.
    """
    return words[0] if len(words) == 1 else " ".join(map(_requoted, words))


def _requoted(word: str) -> str:
    if not re.search(r"\s", word) or '"' in word:
        return word
    found = re.fullmatch(r"(-?\w+:)?(.*)", word, re.DOTALL)
    prefix, rest = (found[1] or "", found[2]) if found else ("", word)
    return f'{prefix}"{rest}"'


def _parsed(words: Sequence[str] | None) -> Query:
    try:
        return asked(as_text(words or ()), time.time(), datetime.now().astimezone().tzinfo or _refuse("no time zone"))
    except QueryError as error:
        _refuse(visible_lines(str(error)))


def visible_lines(text: str) -> str:
    """As `visible`, line by line."""
    return "\n".join(map(visible, text.split("\n")))


def _key(file: Path | None) -> bytes:
    found = os.environ.get("HOOP_AUDIT_KEY", "").strip()
    if file is not None:
        try:
            found = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            _refuse(f"the audit key's file {file} can't be read")
    if not found:
        _refuse("the audit key is missing: set HOOP_AUDIT_KEY or HOOP_AUDIT_KEY_FILE (--key-file)")
    return found.encode()


def _dsn(given: str) -> str:
    path = os.environ.get("HOOP_STORE_FILE", "").strip()
    if given or not path:
        return given.strip()
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        _refuse(f"HOOP_STORE_FILE: {path} can't be read")


def with_store(given: str, use: Callable[[Store], Coroutine[Any, Any, _T]]) -> _T:
    """Run `use` on the open store; exit 2 when there is none or it does not answer."""
    dsn = _dsn(given)
    if not dsn:
        _refuse("no store: set HOOP_STORE (or --store) to its DSN, like postgresql://hoop@db.example.com/hoop")

    async def run() -> _T:
        store = await open_store(dsn)
        try:
            return await use(store)
        finally:
            await store.close()

    return _run(run())


async def open_store(dsn: str) -> Store:
    """The store behind a DSN."""
    return await PostgresStore.connect(dsn)


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    try:
        return asyncio.run(work)
    except GatewayError as error:
        _refuse(error.message + (f"\nhint: {error.hint}" if error.hint else ""))
    except OSError as error:
        _refuse(f"{error.filename or 'the spool'} can't be read: {error.strerror}")


async def _pages(store: Store, query: Query) -> AsyncIterator[list[Mapping[str, Value]]]:
    offset = 0
    while True:
        entries, _ = await store.audit(query, offset)
        yield entries
        offset += len(entries)
        if len(entries) < query.limit:
            return


def _refuse(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(2)
