"""What a COPY ... TO STDOUT sends: its options as written, and the source columns of each column. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pglast.parser import ParseError

from gateway.sql.catalog import Catalog
from gateway.sql.lineage import Sources, parsed, select_sources


@dataclass(frozen=True, slots=True)
class Outgoing:
    """`options`: name -> value as written ("" where none was). `sources`: one a column, or None where nothing is known."""

    options: Mapping[str, str] = field(default_factory=dict)
    sources: list[Sources] | None = None


def outgoing(sql: str, catalog: Catalog | None, search_path: tuple[str, ...], width: int) -> Outgoing:
    """Read a COPY of `width` columns. Never raises: what can't be read has no options and unknown sources."""
    try:
        copy = parsed(sql)["stmts"][0]["stmt"]["CopyStmt"]
    except (ParseError, RecursionError, LookupError, ValueError):
        return Outgoing()
    options = {each["DefElem"]["defname"]: _value(each["DefElem"].get("arg")) for each in copy.get("options", [])}
    if "query" in copy:
        return Outgoing(options, select_sources(copy["query"], catalog, search_path, width))
    written = copy.get("relation", {})
    table = catalog.find(written.get("schemaname"), written.get("relname", ""), search_path) if catalog else None
    if table is None:
        return Outgoing(options)
    names = [each["String"]["sval"] for each in copy.get("attlist", [])] or list(table.columns)
    sources: list[Sources] = [frozenset({f"{table.schema}.{table.name}.{name}"}) for name in names]
    return Outgoing(options, sources if len(sources) == width else None)


def _value(argument: Any) -> str:
    """The value of an option: a string, number or boolean as text."""
    if not argument:
        return ""
    kind, fields = next(iter(argument.items()))
    if kind == "Boolean":
        return "true" if fields.get("boolval") else "false"
    return str(fields.get("sval", fields.get("ival", ""))) if isinstance(fields, dict) else ""
