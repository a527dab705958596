"""An audit query as SQL. Says the same as audit/query.py's `matches` and `ordered`, from the same tables.

Values travel as parameters only. One difference is known: upper and lower case of letters outside ASCII is compared as
the store's database compares it (LC_CTYPE), so a store with locale C is stricter there than `matches`.
"""

from dataclasses import dataclass, field

from gateway.audit.query import (
    ANY_OF,
    DECISIONS,
    LOGINS,
    PATTERNS,
    Filter,
    Owner,
    Query,
    asks_logins,
    flat,
    like,
    login_kinds,
    patterns,
    row_range,
)

# The end entries (is_end), less the refused clicks (port.is_refused_click).
_ENDS = (
    "kind IN ('finished', 'refused', 'decided') AND NOT (kind = 'decided' AND outcome IS NOT DISTINCT FROM 'approved')"
    " AND NOT (kind = 'refused' AND decided_by IS NOT NULL)"
)

# As is_login. Each arm names its kind alone, so that a partial index can serve it.
_LOGINS = (
    f"(kind = '{LOGINS['accepted']}' OR (kind = '{LOGINS['refused']}'"
    " AND concat(session, request, tag, body ->> 'sql') = ''))"
)

#: A list field -> its items as rows of `item`.
_LISTS = {
    "tables": "(SELECT unnest(tables) AS item UNION ALL SELECT jsonb_array_elements_text("
    "CASE jsonb_typeof(body -> 'passed_on') WHEN 'array' THEN body -> 'passed_on' END)) AS items",
    "columns": "unnest(columns) AS item",
    "clear": "jsonb_array_elements_text(CASE jsonb_typeof(body -> 'clear') WHEN 'array' THEN body -> 'clear' END) AS item",
    "fingerprints": "jsonb_array_elements_text("
    "CASE jsonb_typeof(body -> 'fingerprints') WHEN 'array' THEN body -> 'fingerprints' END) AS item",
    "risk": "(SELECT body ->> 'risk' AS item) AS items",
    "claimed": "(SELECT body ->> 'claimed' AS item) AS items",
    "break_glass": "(SELECT body ->> 'break_glass' AS item) AS items",
    "unscanned": "(SELECT body ->> 'unscanned' AS item) AS items",
    "masked": "(SELECT coalesce(one ->> 'detector', one #>> '{}') AS item FROM jsonb_array_elements("
    "CASE jsonb_typeof(body -> 'masked') WHEN 'array' THEN body -> 'masked' END) AS one) AS items",
}

_SORTS = {
    "time": "",
    "rows": "rows DESC NULLS LAST, ",
    "duration": "duration_ms DESC NULLS LAST, ",
}


@dataclass(slots=True)
class _Where:
    """Conditions and their parameters while they are gathered."""

    parameters: list[object] = field(default_factory=list)

    def bind(self, value: object, type_: str) -> str:
        self.parameters.append(value)
        return f"${len(self.parameters)}::{type_}"


def select(query: Query, offset: int) -> tuple[str, str, list[object]]:
    """(SQL of the page, SQL of the count, their common parameters). The page has the canonical `text` and what its row says it is: replica, seq, at, kind."""
    where = _Where()
    since, until = where.bind(query.since, "double precision"), where.bind(query.until, "double precision")
    conditions = [
        _LOGINS if asks_logins(query) else _ENDS,
        f"at >= to_timestamp({since})",
        f"at < to_timestamp({until})",
    ]
    conditions += [_condition(where, each) for each in query.filters]
    conditions += [] if query.owner is None else [_owned(where, query.owner)]
    source = f"FROM hoop.audit WHERE {' AND '.join(conditions)}"
    order = f'ORDER BY {_SORTS[query.sort]}at DESC, replica COLLATE "C" DESC, seq DESC'
    return (
        f"SELECT text, replica, seq, at, kind {source} {order} LIMIT {int(query.limit)} OFFSET {int(offset)}",
        f"SELECT count(*) {source}",
        where.parameters,
    )


def _owned(where: _Where, owner: Owner) -> str:
    """As Owner.has."""
    named = f"lower(coalesce(\"user\", '')) = lower({where.bind(owner.user, 'text')})"
    if not owner.subject:
        return named
    issuer, subject = where.bind(owner.issuer, "text"), where.bind(owner.subject, "text")
    whose = f"CASE WHEN coalesce(body ->> 'issuer', '') <> '' THEN body ->> 'issuer' = {issuer} ELSE {named} END"
    return f"subject = {subject} AND {whose}"


def _condition(where: _Where, each: Filter) -> str:
    if each.key in ANY_OF:
        either = " OR ".join(_condition(where, Filter(key, each.values)) for key in ANY_OF[each.key])
        return f"NOT coalesce({either}, false)" if each.negated else f"({either})"
    special = {"decision": _decision, "login": _login, "rows": _rows, "text": _text}
    condition = special.get(each.key, _pattern)(where, each)
    return f"NOT coalesce({condition}, false)" if each.negated else f"({condition})"


def _pattern(where: _Where, each: Filter) -> str:
    name = PATTERNS[each.key][0]
    globs = where.bind([like(glob) for glob in patterns(each)], "text[]")
    if name in _LISTS:
        return f"EXISTS (SELECT FROM {_LISTS[name]} WHERE lower(item) LIKE ANY ({globs}))"
    return f'lower("{name}") LIKE ANY ({globs})'


def _decision(where: _Where, each: Filter) -> str:
    parts = []
    for kind, outcome, held in (one for value in each.values for one in DECISIONS[value]):
        part = f"kind = {where.bind(kind, 'text')}"
        if outcome == "":
            part += " AND outcome IS NULL"
        elif outcome is not None:
            part += f" AND outcome = {where.bind(outcome, 'text')}"
        if held is not None:
            part += f" AND request IS {'NOT ' if held else ''}NULL"
        parts.append(f"({part})")
    return " OR ".join(parts)


def _login(where: _Where, each: Filter) -> str:
    return f"{_LOGINS} AND kind = ANY ({where.bind(login_kinds(each), 'text[]')})"


def _rows(where: _Where, each: Filter) -> str:
    ranges = [row_range(value) for value in each.values]
    return " OR ".join(
        f"rows BETWEEN {where.bind(low, 'bigint')} AND {where.bind(high, 'bigint')}" for low, high in ranges
    )


def _text(where: _Where, each: Filter) -> str:
    texts = [where.bind(flat(value), "text") for value in each.values]
    sql = r"lower(btrim(regexp_replace(body ->> 'sql', '\s+', ' ', 'g')))"
    return " OR ".join(f"position({text} IN {sql}) > 0" for text in texts)
