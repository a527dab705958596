"""Fuzzes the session: a client that says anything in any order, a target that answers as PostgreSQL would, people who
approve, refuse or wait, in every order of events.

What must hold, whatever comes:
- no exception, no hang;
- no message type reaches the target but those that were judged, and no text runs there that was not recorded before; nothing
  but reads and housekeeping runs unless a release of it was stored, and no more often than it was released;
- under a policy that allows everything nothing fails because the gate was closed, and at rest it is;
- the client is answered as PostgreSQL would answer: message by message, and nothing is owed at rest;
- a session that never takes the short way of plain reads says, sends and records the same at each event.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from random import Random

from gateway.approvals.request import ApprovalRequest, Person, State
from gateway.audit.entry import Value
from gateway.policy.model import Policy, load
from gateway.session import events as ev
from gateway.session.common import Commons
from gateway.session.gate import Gate
from gateway.session.judging import UNREADABLE, Login
from gateway.session.session import Session
from gateway.sql.catalog import Catalog, Relation
from gateway.sql.parse import MAX_BYTES, read
from gateway.sql.tree import words
from gateway.wire.frontend import FLUSH, SYNC, TERMINATE, bind, close, describe, execute, message, parse, query
from tests.fuzz.client import Client
from tests.fuzz.target import BEHIND, Target, statements, word
from tests.playbook import ANN, NOW, POLICY, catalog, whole

OPEN = POLICY.replace("effect: hold", "effect: allow").replace(", reviewers: dba}", "}")
BOB = Person("https://issuer.test", "bob-1", "bob@example.com", "bob@example.com", frozenset({"dba"}))
MESSAGES = 40  # of one conversation, about
STEPS = 5000
#: Behind a text it makes one that the session itself doesn't read: the parser's process is asked (gateway.sql.parse.MAX_BYTES).
BIG = " " * MAX_BYTES

#: Our grammar refuses it, and the target takes it.
REFUSED = "FROBNICATE {}"
#: Texts that may run unasked. `{}` is a number that tells them apart.
HARMLESS = (
    "SELECT {}",
    "SELECT name FROM customers WHERE id = {}",
    "SELECT {} FROM generate_series(1, 3)",
    "SELECT lower('boom {}')",
    "SHOW search_path",
    "SELECT reader({})",
    "COPY customers TO STDOUT",
    "BEGIN",
    "BEGIN READ ONLY",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT s",
    "ROLLBACK TO s",
    "RELEASE s",
    "SET search_path = other",
    "SET default_transaction_read_only = off",
    "SET work_mem = '{}kB'",
    "RESET search_path",
    "PREPARE p AS SELECT {}",
    "PREPARE p AS DELETE FROM customers WHERE id = {}",
    "EXECUTE p",
    "DEALLOCATE p",
    "DEALLOCATE ALL",
    "DECLARE c CURSOR FOR SELECT {}",
    "FETCH c",
    "CLOSE c",
    "DISCARD ALL",
    "",
    "/* reason: because */ SELECT {}",
)
#: Texts that people must approve first, or that nobody may run.
GUARDED = (
    "DELETE FROM customers WHERE id = {}",
    "UPDATE customers SET name = 'x' WHERE id = {}",
    "INSERT INTO orders VALUES ({})",
    "INSERT INTO orders VALUES ({}) RETURNING id",
    "SELECT evil({})",
    "COPY customers FROM STDIN",
    "CREATE TABLE t{} (id int)",
    "CREATE FUNCTION reader() RETURNS int LANGUAGE sql AS 'DELETE {}'",
    "DROP TABLE customers",
    "DO 'rename {}'",
    "INSERT INTO jobs VALUES ('rename {}')",
    REFUSED,
    "WITH d AS (DELETE FROM customers WHERE id = {} RETURNING 1) SELECT 1",
    "LOCK TABLE customers",
    "VACUUM",
)
_TEXTS = HARMLESS * 2 + GUARDED
_NAMES = ("", "", "", "a", "b", "p", "x" * 70, "x" * 63)
_PORTALS = ("", "", "", "a", "c", "é" * 40)
#: Control of transactions and names: what of these runs is not counted, the gateway has such texts of its own.
#: How the gateway's own question begins what the names of a held statement mean.
_QUESTION = "WITH RECURSIVE named AS (\n SELECT c.oid, pg_catalog.concat("
_UNCOUNTED = words("BEGIN START COMMIT END ROLLBACK ABORT SAVEPOINT RELEASE SHOW SET RESET")


@lru_cache(maxsize=4)
def _policy(text: str) -> Policy:
    return load(text)


def _catalog() -> Catalog:
    """As the playbook's, and a table whose trigger runs the text of its rows."""
    jobs = Relation(16700, "public", "jobs", "r", {"sql": 1}, unsettles=True)
    known = catalog()
    return replace(known, relations={**known.relations, ("public", "jobs"): jobs})


@dataclass(slots=True)
class World:
    """One conversation: the session, both ends, and what is on its way between them."""

    random: Random
    session: Session
    allowing: bool
    target: Target = field(default_factory=Target)
    client: Client = field(default_factory=Client)
    now: float = NOW
    to_say: deque[bytes] = field(default_factory=deque)
    owed_of: deque[tuple[int, str]] = field(default_factory=deque)  # (bytes up to its end, kind) of what is in to_say
    said: int = 0
    whole: bool = True  # all that the client says is well-formed
    answers: bytes = b""
    wait: list[Callable[[], ev.Event]] = field(default_factory=list)
    requests: dict[str, ApprovalRequest] = field(default_factory=dict)
    recorded: Counter[str] = field(default_factory=Counter)
    released: Counter[str] = field(default_factory=Counter)
    ran: Counter[str] = field(default_factory=Counter)
    checked: int = 0
    paused: bool = False
    closed: bool = False
    lying: bool = False  # the target says anything
    log: deque[object] = field(default_factory=lambda: deque(maxlen=100))
    twin: Session | None = None  # it never takes the short way
    short: int = 0  # how often the session itself did
    steady: bool = False  # nobody says anything before he was answered, hardly ever

    # --- events and effects -------------------------------------------------------------------------------------------

    def give(self, event: ev.Event) -> None:
        self.log.append(event)
        self.now += self.random.choice((0.0, 0.001, 5.0))
        effects = self.session.handle(event, self.now)
        self.short += isinstance(event, ev.FromClient) and self.session.short.flight is not None
        for effect in map(whole, effects):
            self._perform(effect)
        if self.twin is not None:
            other = self.twin.handle(event, self.now)
            assert _summed(effects) == _summed(other), f"on the ordinary way: {list(map(_short, other))}"
            if self.session.short.flight is None:
                assert stands(self.session) == stands(self.twin)

    def _perform(self, effect: ev.Effect) -> None:
        self.log.append(effect)
        match effect:
            case ev.ToClient(data):
                if self.whole and not self.lying:
                    self.client.take(data)
            case ev.ToTarget(data):
                self.answers += self.target.take(data)
                self._judge()
            case ev.Record("statement", fields):
                self.recorded.update(_bodies(fields) or ())
                if fields.get("tag") == UNREADABLE:  # its name may mean anything, and people were told so
                    self.recorded[BEHIND] += 1
                    self.released[BEHIND] += bool(fields.get("request"))
            case ev.Hold(request):
                self.requests[request.id] = request
                self.wait.append(lambda: self._opened(request.id))
            case ev.Release(number):
                self.wait.append(lambda: self._released(number))
            case ev.Withdraw(number, why):
                self.wait.append(lambda: self._ended(number, State.WITHDRAWN, why))
            case ev.Supersede(number, why):
                self.wait.append(lambda: self._ended(number, State.SUPERSEDED, why))
            case ev.Ask(sql):
                self.wait.append(lambda: ev.Answered(sql, read(sql, max_bytes=1 << 20)))
            case ev.SideAsk(data):
                aside = Target().take(data)
                self.wait.append(lambda: self.random.choice((ev.SideAnswered(aside), ev.SideAnswered(None, "gone"))))
            case ev.ReloadCatalog():
                self.wait.append(lambda: ev.CatalogReloaded(_catalog()))
            case ev.GoOn():
                self.wait.append(ev.GoOn)
            case ev.PauseClient():
                self.paused = True
            case ev.ResumeClient():
                self.paused = False
            case ev.Close():
                self.closed = True

    # --- people -------------------------------------------------------------------------------------------------------

    def _opened(self, request: str) -> ev.Event:
        if self.random.random() < 0.1:
            return ev.NotOpened(request, "53400", "too many requests")
        self.wait.append(lambda: self._decided(request))
        return ev.Opened(request)

    def _decided(self, request: str) -> ev.Event:
        state = self.random.choice((State.APPROVED, State.APPROVED, State.APPROVED, State.DENIED, State.EXPIRED))
        return self._ended(request, state, "")

    def _ended(self, request: str, state: State, why: str) -> ev.Event:
        """The stored request has this state now, unless it had come to an end before."""
        found = self.requests.get(request)
        if found is None:
            return ev.Tick()
        if found.state in (State.PENDING, State.APPROVED):
            self.requests[request] = found = replace(found, state=state, decided_by=BOB, reason=why)
        return ev.Ruled(found)

    def _released(self, request: str) -> ev.Event:
        found = self.requests[request]
        if found.state is not State.APPROVED or self.random.random() < 0.1:
            return ev.NotReleased(request, self.random.choice((found, None)), "the store is away")
        self.requests[request] = replace(found, state=State.RELEASED)
        for each in found.statements:
            self.released.update(each.executions * (_bodies({"sql": each.sql, "tag": each.tag}) or ()))
        return ev.Released(request)

    # --- the oracle ---------------------------------------------------------------------------------------------------

    def _judge(self) -> None:
        """All that the target has run since the last look."""
        assert self.target.types <= set(b"QPBDECSHXdcfF"), f"types {bytes(self.target.types)!r} reached the target"
        for text in self.target.ran[self.checked :]:
            self._may_run(text)
        self.checked = len(self.target.ran)

    def _may_run(self, text: str) -> None:
        if text.startswith("FunctionCall"):
            assert text == "FunctionCall of 1", text
            return
        written, inside, body = text.partition(": ") if word(text) == "EXECUTE" else (text, "", "")
        if inside:
            assert self.allowing or not _guarded(body) or self.released[written], f"{text} ran, and nobody approved it"
            return
        if word(written) in _UNCOUNTED or not self._of_client(written):
            assert not _guarded(written), f"{written} ran, and the client has not said so"
            return
        self.ran[written] += 1
        assert self.ran[written] <= self.recorded[written], f"{written} ran {self.ran[written]} times unrecorded"
        if not self.allowing and _guarded(written) and not self._fooled:
            assert self.ran[written] <= self.released[written], f"{written} ran, and nobody approved it"

    @property
    def _fooled(self) -> bool:
        """Has the target said that its transaction failed, with an error, and goes on running? Nothing helps against that."""
        return self.lying and self.session.talk.status == "E" and self.target.status != "E"

    def _of_client(self, text: str) -> bool:
        return text in self.recorded or _guarded(text)

    def at_rest(self) -> None:
        """Nothing is on its way any more."""
        if self.closed or self.lying:
            return
        assert not self.session.inbox, f"{len(self.session.inbox)} messages were never read"
        assert not self.session.talk.replies, f"waiting for answers to {self.session.talk.replies}"
        assert self.target.default or self.target.status != "I", "the gate stayed open"
        if self.whole:
            left = self.client.settle()
            assert not left, f"no answer came to {left}"
            assert self.client.status == self.target.status, (
                f"{self.client.status} was told, it is {self.target.status}"
            )


def _summed(effects: list[ev.Effect]) -> tuple[bytes, bytes, list[ev.Effect]]:
    """What they say and send as a whole, and the others in order."""
    said = b"".join(each.data for each in effects if isinstance(each, ev.ToClient))
    sent = b"".join(each.data for each in effects if isinstance(each, ev.ToTarget))
    return said, sent, [whole(each) for each in effects if not isinstance(each, ev.ToClient | ev.ToTarget)]


def stands(session: Session) -> tuple[object, ...]:
    """What the next message would be read by."""
    talk, names = session.talk, session.talk.names
    portals = {name: (each.prepared.sql, each.columns, each.bind) for name, each in names.portals.items()}
    statements = {name: (each.sql, each.columns) for name, each in names.statements.items()}
    flags = talk.number, talk.status, talk.phase, talk.at_rest, talk.path_stale, talk.lurking, talk.claimed_reason
    falls_back = talk.path_in_transaction, talk.reread_inside, talk.changed, talk.ended_as, talk.broke
    stream = session.stream.at_rest, session.stream._reached
    return (*flags, *falls_back, portals, statements, names.doubts, names.readings, *stream, talk.gate)


def _bodies(fields: Mapping[str, Value]) -> tuple[str, ...] | None:
    """What a record or a held statement says that runs: bound by the protocol, a name of PREPARE is recorded by PREPARE's text and the body's tag."""
    sql = str(fields.get("sql", ""))
    prepared = word(sql) == "PREPARE" and fields.get("tag") != "PREPARE"
    return statements(sql.partition(" AS ")[2] if prepared else sql)


def _guarded(text: str) -> bool:
    """Needs approval, by the lists above; what is on neither (a damaged text) by its first word."""
    if _plain(text) in _GUARDED_PLAIN or text == BEHIND:
        return True
    if text.startswith(_QUESTION):
        return False
    return _plain(text) not in _HARMLESS_PLAIN and word(text) in (
        "DELETE",
        "UPDATE",
        "INSERT",
        "DROP",
        "CREATE",
        "DO",
        "WITH",
    )


@lru_cache(maxsize=20_000)
def _plain(text: str) -> str:
    return "".join("#" if each.isdigit() else each for each in text).replace("##", "#").replace("##", "#")


_GUARDED_PLAIN = frozenset(_plain(each.format(111)) for each in GUARDED)
_HARMLESS_PLAIN = frozenset(_plain(each.format(111)) for each in HARMLESS)


def _short(value: object) -> str:
    """An event, or an effect of the event above it."""
    match value:
        case ev.Record(kind, fields):
            return f"    record {kind} {fields.get('sql', '')} {fields.get('verdict', '')} {fields.get('reason', '')}"
        case ev.Hold(request) | ev.Ruled(request):
            return f"{type(value).__name__} {request.id} {request.state}"
        case ev.Ask(sql):
            return f"    Ask {sql:.60}"
        case ev.CatalogChanged() | ev.PolicyChanged() | ev.Answered():
            return type(value).__name__
        case ev.FromClient(data) | ev.FromTarget(data):
            return f"> {type(value).__name__} {_shown(data)}"
        case ev.ToClient(data) | ev.ToTarget(data):
            return f"    {type(value).__name__} {_shown(data)}"
    return repr(value)


def _shown(data: bytes) -> str:
    """The messages that begin in it: type and the text in it, as far as they can be told."""
    found, at = list[str](), 0
    while at < len(data):
        end = at + 1 + int.from_bytes(data[at + 1 : at + 5], "big")
        if not at < end <= len(data):
            return f"{' '.join(found)} ...{data[at:]!r:.60}"
        body = data[at + 5 : end].replace(b"x" * 50, b"x~")
        found.append(chr(data[at]) + (f"[{body.decode('utf-8', 'replace')[:60]}]".replace("\0", " ") if body else ""))
        at = end
    return " ".join(found)


# --- what the client says ---------------------------------------------------------------------------------------------


def _text(random: Random) -> str:
    count = 1 if random.random() < 0.85 else random.randint(2, 4)
    text = "; ".join(random.choice(_TEXTS).format(random.randint(100, 130)) for _ in range(count))
    if random.random() > 0.05:
        return text
    return random.choice((text, REFUSED.format(random.randint(100, 130)))) + BIG


def _one(random: Random) -> bytes:
    """Any message, in no order."""
    name, portal = random.choice(_NAMES), random.choice(_PORTALS)
    return random.choice(
        (
            lambda: query(_text(random)),
            lambda: parse(name, _text(random)),
            lambda: bind(portal, name, [b"1"] * random.choice((0, 0, 1))),
            lambda: execute(portal, random.choice((0, 0, 1, 2))),
            lambda: describe("S", name),
            lambda: describe("P", portal),
            lambda: close("S", name),
            lambda: close("P", portal),
            lambda: SYNC,
            lambda: SYNC,
            lambda: FLUSH,
            lambda: message(b"F", b"\0\0\0\7\0\0\0\0\0\0"),
            lambda: message(b"d", b"1\tx\n"),
            lambda: message(b"c", b""),
            lambda: message(b"f", b"no\0"),
        )
    )()


def _batch(random: Random) -> list[bytes]:
    """What a driver sends: Parse, Bind, Describe, Execute, Sync; now and then without one of them or with one twice."""
    found: list[bytes] = []
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        name, portal = random.choice(_NAMES), random.choice(_PORTALS)
        found += [
            close("S", name) if name else b"",
            parse(name, _text(random)),
            bind(portal, name),
            describe("P", portal),
            execute(portal, random.choice((0, 0, 0, 1))),
            random.choice((b"", b"", FLUSH)),
        ]
    found = [each for each in found if each and random.random() > 0.05]
    at = random.randrange(len(found) + 1)
    return [*found[:at], *found[at : at + 1], *found[at:], SYNC] if random.random() < 0.1 else [*found, SYNC]


def _renamed(random: Random) -> list[bytes]:
    """Names, code that changes what they mean, and their use; the Syncs between them anywhere."""
    code = random.choice(("DO 'rename {}'", "INSERT INTO jobs VALUES ('rename {}')")).format(random.randint(100, 130))
    by_sql = random.random() < 0.3
    steps = [
        [query("PREPARE p AS SELECT 100") if by_sql else parse("p", "SELECT 100")],
        [query(code)] if by_sql or random.random() < 0.5 else [parse("", code), bind("", ""), execute("")],
        [query("EXECUTE p")] if by_sql else [bind("", "p"), execute("")],
    ]
    for each in steps:
        each.extend([SYNC] if random.random() < 0.6 else [])
    return [close("S", "p"), *(part for each in steps for part in each), SYNC]


def _repeated(random: Random) -> list[bytes]:
    """The same plain reads over and over, as an application sends them, in a block or not."""
    texts = (
        "SELECT name FROM customers WHERE id = {}",
        "SELECT 100",
        "SELECT id FROM orders WHERE customer IN ({}, 1)",
    )
    found = [parse("a", random.choice(texts[1:]).format(1)), describe("S", "a"), SYNC]
    block = random.random() < 0.4
    if block:
        found.append(query(random.choice(("BEGIN", "BEGIN", "START TRANSACTION", "BEGIN READ ONLY"))))
    for _ in range(random.randint(3, 12)):
        formats = random.choice(((), (0,), (1,)))
        described = random.choice((b"", describe("P", "")))
        prepared = bind("", "a", [b"1"] * random.choice((0, 0, 1)), (), formats) + described + execute("") + SYNC
        text = random.choice(texts).format(random.randint(100, 130))
        once = parse("", text) + bind("", "", (), (), formats) + describe("P", "") + execute("") + SYNC
        found.append(random.choice((query(text), prepared, once)))
    if block and random.random() < 0.3:
        found.append(query(random.choice(_TEXTS).format(100)))
    if block:
        found.append(query(random.choice(("COMMIT", "COMMIT", "ROLLBACK", "END"))))
    return [close("S", "a"), *found]


def _steady(random: Random) -> list[bytes]:
    """Such reads, and now and then something between them."""
    found: list[bytes] = []
    while len(found) < MESSAGES:
        found += _repeated(random)
        found += [query(random.choice(HARMLESS).format(100))] if random.random() < 0.3 else []
    return found


def _conversation(random: Random) -> list[bytes]:
    found: list[bytes] = []
    while len(found) < MESSAGES:
        luck = random.random()
        if luck < 0.04:
            found += _renamed(random)
        elif luck < 0.14:
            found += _repeated(random)
        elif luck < 0.35:
            found.append(query(_text(random)))
        elif luck < 0.75:
            found += _batch(random)
        else:
            found += [_one(random) for _ in range(random.randint(1, 6))]
    return found


def _damaged(random: Random, raw: bytes) -> bytes:
    body = bytearray(raw[5:])
    if not body:
        return raw
    luck = random.random()
    if luck < 0.4:
        body[random.randrange(len(body))] = random.randrange(256)
    elif luck < 0.6:
        del body[random.randrange(len(body)) :]
    elif luck < 0.8:
        body += random.randbytes(3)
    else:
        return random.choice(b"QPBDECSHFXdcfpz").to_bytes() + raw[1:]
    return message(raw[:1], bytes(body))


def _lie(random: Random, chunk: bytes) -> bytes:
    """What a broken or hostile target sends in its place."""
    at = random.randrange(len(chunk))
    kind = random.choice(b"123tTDCIEZGHWdcVNASsnRK\0z").to_bytes()
    return random.choice(
        (
            lambda: chunk[:at] + random.randbytes(1) + chunk[at + 1 :],
            lambda: chunk[:at],
            lambda: chunk + message(kind, random.randbytes(random.choice((0, 1, 2, 4, 30)))),
            lambda: message(kind, b"") + chunk,
            lambda: message(kind, b"default_transaction_read_only\0off\0") + chunk,
            lambda: message(kind, b"\0\1\xff\xff\xff\xfe") + chunk,
        )
    )()


def _numbers() -> Iterator[str]:
    return (f"R{number}" for number in range(10_000))


# --- a case -----------------------------------------------------------------------------------------------------------


def case(random: Random) -> int:
    """One conversation. Returns how many messages the client has sent."""
    allowing = random.random() < 0.4
    policy = _policy(OPEN if allowing else POLICY)
    login = Login("s-1", "r-1", ANN, policy.targets["shop"], "psql", "127.0.0.1", b"m" * 32, b"d" * 32)
    known, commons = _catalog(), Commons()
    session, earlier = (Session(login, policy, known, _numbers(), Gate(), commons=commons) for _ in range(2))
    twin = Session(login, policy, known, _numbers(), Gate())  # it knows nothing of what others have met
    twin.short.shut = True
    world = World(random, session, allowing, twin=twin)
    world.steady = random.random() < 0.25
    said = _steady(random) if world.steady else _conversation(random)
    world.lying = random.random() < 0.15
    if random.random() < 0.2:
        world.whole = False
        said = [_damaged(random, each) if random.random() < 0.05 else each for each in said]
    # Whatever state it is in behind that: out of COPY, out of a batch, and something to show that it goes on.
    said += [message(b"f", b"enough\0"), SYNC, query("SELECT 100")]
    if random.random() < 0.1:
        said.insert(random.randrange(len(said)), TERMINATE)
    try:
        if random.random() < 0.3:  # somebody has said the same before
            before = World(random, earlier, allowing, whole=world.whole, lying=world.lying, steady=True)
            _play(before, said)
        _play(world, said)
    except BaseException as error:
        error.add_note("\n".join(map(_short, world.log)))
        raise
    return len(said)


def _play(world: World, said: list[bytes]) -> None:
    random, at, unsent = world.random, 0, b""
    unlucky = random.random() < 0.2
    for _ in range(STEPS):
        choices = []
        if (at < len(said) or unsent) and not world.paused:
            choices += [0, 0]
        if world.answers:
            choices += [1] * (100 if world.steady else 3)
        if world.wait:
            choices += [2]
        if not choices and world.target.over and not world.closed:
            world.give(ev.TargetGone())
        if world.closed or not choices:
            world.at_rest()
            return
        match random.choice(choices):
            case 0:
                count = 1 if world.steady and random.random() < 0.9 else random.choice((1, 1, 2, 5, 20))
                more = b"".join(said[at : at + count])
                kinds = _kinds(more)
                unsent += more
                at += count
                world.client.sent(kinds.partition("X")[0])
                end = (
                    len(unsent) if random.random() < (0.98 if world.steady else 0.8) else random.randint(1, len(unsent))
                )
                chunk, unsent = unsent[:end], unsent[end:]
                world.give(ev.FromClient(chunk))
            case 1:
                end = (
                    len(world.answers)
                    if random.random() < (0.95 if world.steady else 0.5)
                    else random.randint(1, len(world.answers))
                )
                chunk, world.answers = world.answers[:end], world.answers[end:]
                if world.lying and random.random() < 0.1:
                    chunk = _lie(random, chunk)
                world.give(ev.FromTarget(chunk))
            case 2:
                world.give(world.wait.pop(random.randrange(len(world.wait)) if random.random() < 0.2 else 0)())
        if unlucky and random.random() < 0.02:
            world.give(_accident(world))
    raise AssertionError(f"it has not come to rest in {STEPS} steps")


def _kinds(data: bytes) -> str:
    """The types of the messages in it."""
    found, at = "", 0
    while at < len(data):
        found += chr(data[at])
        at += 1 + max(4, int.from_bytes(data[at + 1 : at + 5], "big"))
    return found


def _accident(world: World) -> ev.Event:
    return world.random.choice(
        (
            ev.CancelRequested(),
            ev.CancelRequested(),
            ev.Tick(),
            ev.Tick(),
            ev.PolicyChanged(world.session.talk.judge.policy),
            ev.CatalogChanged(_catalog()),
            ev.ClientGone(),
            ev.TargetGone(),
            ev.Ended(ev.Why.TOKEN_EXPIRED),
            ev.Ended(ev.Why.DRAINING),
        )
    )
