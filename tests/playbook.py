"""Protocol tests as conversations: events go in with `>>`, effects come out as short lines that read like a transcript.

    play = Playbook(policy)
    play.client(query("DELETE FROM t WHERE id = 1"))  -> ["client N[held ...]", "target Q[BEGIN READ ONLY ...]"]

A line is one effect, neighbours of one side joined: `client` and `target` name the messages in order (`C[DELETE 1]`, `E42501`, `ZI`), `record` the entry's kind.
"""

import itertools
import json
from collections.abc import Sequence

from gateway.approvals.request import ApprovalRequest
from gateway.identity.claims import Identity
from gateway.policy.model import Policy, load
from gateway.session import events as ev
from gateway.session.common import Commons
from gateway.session.gate import CLOSE, GUARD, OPEN, UNGUARD, Gate
from gateway.session.grounds import Login
from gateway.session.session import Session
from gateway.sql.catalog import Catalog, Relation
from gateway.wire import frontend
from gateway.wire.backend import command_tag, error_response, fields
from gateway.wire.frontend import message, query

NOW = 1_750_000_000.0

POLICY = """
version: 1
issuers: [{issuer: "https://issuer.test", audience: hoop}]
targets:
  shop: {environment: production, host: db.test, port: 5432, database: shop, sslmode: disable, user: hoop, password: {env: X}}
reviewers:
  dba: {groups: [dba], channels: ["slack:C1"]}
rules:
  - {name: reads, effect: allow, statements: [read]}
  - {name: writes wait, effect: hold, statements: [write, ddl, session, opaque], reviewers: dba}
  - {name: no drop, effect: deny, statements: ["DROP TABLE"], message: never drop}
  - {name: inserts go, effect: allow, statements: [INSERT]}
"""

ANN = Identity("https://issuer.test", "ann-1", "ann@example.com", "ann@example.com", frozenset({"eng"}), NOW + 3600)


def catalog() -> Catalog:
    """A target with customers(id, name, card_number) and the few functions the tests call."""
    columns = {"id": 1, "name": 2, "card_number": 3}
    customers = Relation(16400, "public", "customers", "r", columns)
    other = Relation(16500, "public", "orders", "r", {"id": 1, "customer": 2})
    return Catalog(
        1,
        180000,
        {
            ("public", "customers"): customers,
            ("public", "orders"): other,
            ("other", "orders"): Relation(16600, "other", "orders", "r", {"id": 1}),
        },
        frozenset({"count", "now", "lower", "length", "nextval", "set_config", "pg_advisory_xact_lock"}),
        frozenset({"evil", "reader", "writer"}),
        contained_functions=frozenset({"reader", "writer"}),
        writing_functions=frozenset({"writer"}),
    )


class Playbook:
    """One session and its transcript."""

    def __init__(
        self,
        policy: str | Policy = POLICY,
        who: Identity = ANN,
        status: str = "I",
        *,
        agent: str = "psql",
        client: str = "127.0.0.1",
        knows: Catalog | None = None,
        path: tuple[str, ...] | None = None,
        commons: Commons | None = None,
    ) -> None:
        """`knows`: the catalog. `path`: the search_path that the target has told; None: it is taken to be ("public",).
        `commons`: what it shares with others."""
        self.policy: Policy = load(policy) if isinstance(policy, str) else policy
        login = Login("s-1", "r-1", who, self.policy.targets["shop"], agent, client, b"m" * 32, b"d" * 32)
        ids = (f"REQ{number}" for number in itertools.count(1))
        self.session = Session(login, self.policy, knows or catalog(), ids, Gate(), status, path, commons)
        self.gate_shown = False  # its helpers are answered here and left out of the transcript
        self.rows_shown = False  # so is the transaction that the row guard puts round an approved query
        self.session.talk.path_stale = False  # most conversations start behind the question for search_path
        self.now = NOW
        self.effects: list[ev.Effect] = []
        self.requests: list[ApprovalRequest] = []

    def send(self, event: ev.Event) -> list[str]:
        """Give one event; returns the effects as lines."""
        self.effects = self.session.handle(event, self.now)
        while ev.GoOn() in self.effects:
            self.effects.remove(ev.GoOn())
            self.effects += self.session.handle(ev.GoOn(), self.now)
        self.effects = [whole(each) for each in self.effects]
        if not self.gate_shown:
            self._through_the_gate()
        if not self.rows_shown:
            self._guarded()
        self.requests += [each.request for each in self.effects if isinstance(each, ev.Hold)]
        lines: list[str] = []
        for line in (line for effect in self.effects for line in _lines(effect)):
            side, _, rest = line.partition(" ")
            if lines and side in ("client", "target") and lines[-1].startswith(side + " "):
                lines[-1] += " " + rest
            else:
                lines.append(line)
        return lines

    def _through_the_gate(self) -> None:
        """Take OPEN and CLOSE out of what goes to the target, and answer them when it is their turn."""
        for at, effect in enumerate(self.effects):
            if isinstance(effect, ev.ToTarget):
                self.effects[at] = ev.ToTarget(_without(effect.data, OPEN, CLOSE, GUARD, UNGUARD))
        self.effects = [each for each in self.effects if each != ev.ToTarget(b"")]
        talk = self.session.talk
        while talk.replies and talk.replies[0].then is not None:
            self.effects += self.session.handle(ev.FromTarget(ready(talk.status)), self.now)

    def _guarded(self) -> None:
        """Take the row guard's BEGIN, COMMIT, ROLLBACK out of what goes to the target, and answer the last two
        (the first is answered with the gate's helpers)."""
        for at, effect in enumerate(self.effects):
            if isinstance(effect, ev.ToTarget) and self.session.talk.rowguard is not None:
                ends = [each for each in _ENDS if query(each) == effect.data]
                self.effects[at] = ev.ToTarget(_without(effect.data, query("BEGIN READ WRITE"), *map(query, ends)))
                if ends:
                    self.effects += self.session.handle(ev.FromTarget(complete(ends[0]) + ready()), self.now)
        self.effects = [each for each in self.effects if each != ev.ToTarget(b"")]

    def client(self, *messages: bytes) -> list[str]:
        return self.send(ev.FromClient(b"".join(messages)))

    def target(self, *messages: bytes) -> list[str]:
        return self.send(ev.FromTarget(b"".join(messages)))

    @property
    def is_held(self) -> bool:
        """Whether a batch is kept back just now."""
        return self.session.holding.active

    def to_client(self) -> bytes:
        return b"".join(each.data for each in self.effects if isinstance(each, ev.ToClient))

    def to_target(self) -> bytes:
        return b"".join(each.data for each in self.effects if isinstance(each, ev.ToTarget))

    def recorded(self, kind: str) -> list[dict[str, object]]:
        return [dict(each.fields) for each in self.effects if isinstance(each, ev.Record) and each.kind == kind]

    def preview(self, status: str = "I", rows: int = 1) -> list[str]:
        """Answer the preview's questions for customers: OIDs, a count, an empty sample; returns the last lines."""
        if status == "T":
            self.target(row(b"read committed"), complete("SHOW"), ready(status))
        inside = "T"
        self.target(complete("BEGIN"), complete("SET"), ready(inside))
        self.target(row(b"public.customers", b"16400"), complete("SELECT 1"), ready(inside))
        if self.to_target().startswith(b"P"):  # it was alone in its batch: the target prepares it first
            self.target(parsed(), ready(inside))
        self.target(row(str(rows).encode()), complete("SELECT 1"), ready(inside))
        self.target(complete("SELECT 0"), ready(inside))
        return self.target(complete("ROLLBACK"), ready(status))

    def reload(self) -> None:
        """The catalog is read again, as it is after what may have changed it."""
        self.send(ev.CatalogReloaded(catalog()))

    def recheck(self, status: str = "I", oid: bytes = b"16400") -> list[str]:
        """Answer the question what the held names mean now."""
        return self.target(row(b"public.customers", oid), complete("SELECT 1"), ready(status))


def whole(effect: ev.Effect) -> ev.Effect:
    """An entry of a pattern as the entry that it stands for; anything else as it is."""
    if not isinstance(effect, ev.RecordAlike):
        return effect
    said = json.loads(b'{"kind":' + effect.pattern.text(effect.values) + b"}")
    return ev.Record(said.pop("kind"), said)


_ENDS = ("COMMIT", "ROLLBACK")


def _without(data: bytes, *helpers: bytes) -> bytes:
    for each in helpers:
        data = data.replace(each, b"")
    return data


def ready(status: str = "I") -> bytes:
    return message(b"Z", status.encode())


def parsed() -> bytes:
    """The answer to Parse and Describe of a statement without parameters and rows."""
    return frontend.message(b"1", b"") + frontend.message(b"t", b"\0\0") + frontend.message(b"n", b"")


def complete(tag: str) -> bytes:
    return message(b"C", tag.encode() + b"\0")


def row(*values: bytes | None) -> bytes:
    cells = b"".join(b"\xff\xff\xff\xff" if each is None else len(each).to_bytes(4, "big") + each for each in values)
    return message(b"D", len(values).to_bytes(2, "big") + cells)


def columns(*names: str, table: int = 16400, oid: int = 25, first: int = 1, binary: bool = False) -> bytes:
    """RowDescription of columns of one table, attnum counted from `first`."""
    body = len(names).to_bytes(2, "big")
    for at, name in enumerate(names):
        body += name.encode() + b"\0" + table.to_bytes(4, "big") + (first + at).to_bytes(2, "big")
        body += oid.to_bytes(4, "big") + b"\xff\xff" + b"\xff\xff\xff\xff" + (b"\0\x01" if binary else b"\0\0")
    return message(b"T", body)


def error(sqlstate: str, text: str = "boom") -> bytes:
    return error_response(sqlstate, text)


#: The target's parser has read both statements of a text, and it prepares one only.
READS = message(b"E", b"SERROR\0VERROR\0C42601\0Mcannot insert multiple commands\0Rexec_parse_message\0\0")
PARSED, BOUND, CLOSED, NO_DATA = (message(each, b"") for each in (b"1", b"2", b"3", b"n"))


def split(data: bytes) -> Sequence[tuple[str, bytes]]:
    at, found = 0, []
    while at < len(data):
        end = at + 1 + int.from_bytes(data[at + 1 : at + 5], "big")
        found.append((chr(data[at]), data[at + 5 : end]))
        at = end
    return found


def _lines(effect: ev.Effect) -> list[str]:
    match effect:
        case ev.ToClient(data):
            return ["client " + " ".join(_backend(kind, body) for kind, body in split(data))]
        case ev.ToTarget(data):
            return ["target " + " ".join(_frontend(kind, body) for kind, body in split(data))]
        case ev.Record(kind, _):
            return [f"record {kind}"]
        case ev.Hold(request):
            return [f"hold {request.id}"]
        case (
            ev.Release(request) | ev.Withdraw(request) | ev.Leave(request) | ev.Supersede(request) | ev.Unknown(request)
        ):
            return [f"{type(effect).__name__.lower()} {request}"]
        case ev.Finished(request, rows, sqlstate, _, transaction):
            return [f"finished {request} {sqlstate or rows} {transaction}"]
        case ev.Settled(request, transaction):
            return [f"settled {request} {transaction}"]
        case ev.WakeAt():
            return []
        case ev.Close(spare=True):
            return ["close spare"]
    return [type(effect).__name__.lower()]


def _backend(kind: str, body: bytes) -> str:
    match kind:
        case "C":
            return f"C[{command_tag(body)}]"
        case "E":
            return f"E{fields(body)['C']}"
        case "Z":
            return f"Z{body.decode()}"
        case "N":
            return "N"
    return kind


def _frontend(kind: str, body: bytes) -> str:
    if kind == "Q":
        return f"Q[{frontend.read_query(message(b'Q', body))}]"
    if kind == "P":
        return f"P[{frontend.read_parse(message(b'P', body)).sql}]"
    return kind
