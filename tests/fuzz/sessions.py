"""Fuzzes the session: a client that says anything in any order, a target that answers as PostgreSQL would, people who
approve, refuse or wait, in every order of events.

What must hold, whatever comes:
- no exception, no hang;
- no message type reaches the target but those that were judged, and no text runs there that was not recorded before; nothing
  but reads and housekeeping runs unless a release of it was stored, and no more often than it was released;
- under a policy that allows everything nothing fails because the gate was closed, and at rest it is;
- the client is answered as PostgreSQL would answer: message by message, and nothing is owed at rest;
- a session that never takes the short way, and judges and tells each row of an executemany anew, says, sends and records the same at
  each event.
"""

import re
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
from gateway.session.grounds import Login
from gateway.session.session import Session
from gateway.session.traits import UNREADABLE
from gateway.sql.catalog import Catalog, Relation
from gateway.sql.parse import read
from gateway.sql.tree import words
from gateway.wire.frontend import SYNC, TERMINATE, message, query
from tests.fuzz.client import Client
from tests.fuzz.conversations import GUARDED, HARMLESS, READS, WRITES, conversation, damaged, steady
from tests.fuzz.standing import differences, stands
from tests.fuzz.target import BEHIND, Target, statements, word
from tests.playbook import ANN, NOW, POLICY, catalog, whole

OPEN = POLICY.replace("effect: hold", "effect: allow").replace(", reviewers: dba}", "}")
BOB = Person("https://issuer.test", "bob-1", "bob@example.com", "bob@example.com", frozenset({"dba"}))
STEPS = 5000
_CARDS = "columns: [{column: '*.public.customers.card_number', mask: redact}], detect: [card]"
#: What is masked, for whom, and what happens to a copy of it and to what can't be traced.
MASKINGS = (
    "",
    "masking: {detect: [card]}\n",
    f"masking: {{{_CARDS}}}\n",
    f"masking: {{{_CARDS}, clear_for: {{groups: [eng]}}}}\n",
    f"masking: {{{_CARDS}, unresolved: hold, copies: hold}}\n",
)
#: How the gateway's own question begins what the names of a held statement mean.
_QUESTION = "WITH RECURSIVE named AS (\n SELECT c.oid, pg_catalog.concat("

#: The constants of its texts.
_CONSTANTS = tuple(map(re.compile, (r"'?\b[0-9]{3}\b'?", r"'[^']*'", r"'[^']*'|\b[0-9]{3}\b")))
_COMMENT = re.compile(r"/\*.*?\*/ *")
#: Control of transactions and names: what of these runs is not counted, the gateway has such texts of its own.
_UNCOUNTED = words("BEGIN START COMMIT END ROLLBACK ABORT SAVEPOINT RELEASE SHOW SET RESET")


@lru_cache(maxsize=16)
def _policy(text: str) -> Policy:
    return load(text)


def _catalog(random: Random | None = None) -> Catalog:
    """As the playbook's, and a table whose trigger runs the text of its rows. `random`: somebody may have changed another table."""
    jobs = Relation(16700, "public", "jobs", "r", {"sql": 1}, unsettles=True)
    known = catalog()
    relations = {**known.relations, ("public", "jobs"): jobs}
    luck = random.random() if random else 1.0
    if luck < 0.2:
        relations["public", "customers"] = replace(relations["public", "customers"], unsettles=True)
    elif luck < 0.4:
        del relations["public", "orders"]
    return replace(known, relations=relations)


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
            if not self.session.short.waits:
                found = differences(stands(self.session), stands(self.twin))
                assert not found, f"it stands otherwise than on the ordinary way: {found}"

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
        # As it is told: a constant may stand beside a protected column, and a comment is left out of a text that can be read.
        told = {written, *(each.sub("'[redacted]'", written) for each in _CONSTANTS), _COMMENT.sub("", written)}
        assert self.ran[written] <= sum(self.recorded[each] for each in told), (
            f"{written} ran {self.ran[written]} times unrecorded"
        )
        if not self.allowing and _guarded(written) and not self._fooled:
            assert self.ran[written] <= sum(self.released[each] for each in told), (
                f"{written} ran, and nobody approved it"
            )

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
        assert not self.session.intake.inbox, f"{len(self.session.intake.inbox)} messages were never read"
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
_HARMLESS_PLAIN = frozenset(_plain(each.format(111)) for each in HARMLESS + READS)


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


def _lie(random: Random, chunk: bytes) -> bytes:
    """What a broken or hostile target sends in its place."""
    at = random.randrange(len(chunk))
    kind = random.choice(b"123tTDCIEZGHWdcVNASsnRK\0z").to_bytes()
    return random.choice(
        (
            lambda: chunk[:at] + random.randbytes(1) + chunk[at + 1 :],
            lambda: chunk[:at],
            lambda: chunk.replace(message(b"C", b"SELECT 1\0"), message(b"C", b"SELECT\0")),
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
    writes = allowing and random.random() < 0.8
    policy = _policy((OPEN if allowing else POLICY) + random.choice(MASKINGS[writes:]))
    login = Login("s-1", "r-1", ANN, policy.targets["shop"], "psql", "127.0.0.1", b"m" * 32, b"d" * 32)
    known, commons = _catalog(), Commons()
    session, earlier = (Session(login, policy, known, _numbers(), Gate(), commons=commons) for _ in range(2))
    twin = Session(login, policy, known, _numbers(), Gate())  # it knows nothing of what others have met
    twin.short.shut = twin.draft.forgets = twin.talk.story.forgets = True
    world = World(random, session, allowing, target=Target(odd=random), twin=twin)
    world.steady = random.random() < 0.5
    said = _said(random, writes=writes)
    world.lying = random.random() < 0.15
    if random.random() < 0.2:
        world.whole = False
        said = [damaged(random, each) if random.random() < 0.05 else each for each in said]
    # Whatever state it is in behind that: out of COPY, out of a batch, and something to show that it goes on.
    said += [message(b"f", b"enough\0"), SYNC, query("SELECT 100")]
    if random.random() < 0.1:
        said.insert(random.randrange(len(said)), TERMINATE)
    try:
        if random.random() < 0.3:  # somebody has said the same before
            before = World(
                random, earlier, allowing, Target(odd=random), whole=world.whole, lying=world.lying, steady=True
            )
            _play(before, said)
        _play(world, said)
    except BaseException as error:
        error.add_note("\n".join(map(_short, world.log)))
        raise
    return len(said)


def _said(random: Random, *, writes: bool) -> list[bytes]:
    luck = random.random()
    if luck > 0.5 + 0.3 * writes:
        return conversation(random)
    return steady(random, READS + WRITES * 2 if writes and luck > 0.2 else READS)


def _play(world: World, said: list[bytes]) -> None:
    random, at, unsent = world.random, 0, b""
    unlucky = random.random() < 0.2
    for _ in range(STEPS):
        choices = []
        if (at < len(said) or unsent) and not world.paused:
            choices += [0, 0]
        if world.answers:
            choices += [1] * (100 if world.steady and not world.session.short.owed else 3)
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
                if world.steady and random.random() < 0.6:  # a real one sends what it has said at each ReadyForQuery
                    end = _to_ready(world.answers)
                chunk, world.answers = world.answers[:end], world.answers[end:]
                if world.lying and random.random() < 0.1:
                    chunk = _lie(random, chunk)
                world.give(ev.FromTarget(chunk))
            case 2:
                world.give(world.wait.pop(random.randrange(len(world.wait)) if random.random() < 0.2 else 0)())
        if unlucky and random.random() < (0.1 if world.session.short.waits else 0.02):
            world.give(_accident(world))
    raise AssertionError(f"it has not come to rest in {STEPS} steps")


def _to_ready(data: bytes) -> int:
    """Where the first ReadyForQuery ends; the end, where there is none."""
    at, kind = 0, 0
    while at < len(data) and kind != ord("Z"):
        kind = data[at]
        at += 1 + max(4, int.from_bytes(data[at + 1 : at + 5], "big"))
    return at


def _kinds(data: bytes) -> str:
    """The types of the messages in it."""
    found, at = "", 0
    while at < len(data):
        found += chr(data[at])
        at += 1 + max(4, int.from_bytes(data[at + 1 : at + 5], "big"))
    return found


def _another(world: World) -> Policy:
    """The same policy, or where nobody has to approve anything, any."""
    if not world.allowing:
        return world.session.talk.grounds.policy
    return _policy(world.random.choice((OPEN, OPEN, POLICY)) + world.random.choice(MASKINGS))


def _accident(world: World) -> ev.Event:
    return world.random.choice(
        (
            ev.CancelRequested(),
            ev.CancelRequested(),
            ev.Tick(),
            ev.Tick(),
            ev.PolicyChanged(_another(world)),
            ev.CatalogChanged(_catalog(world.random)),
            ev.ClientGone(),
            ev.TargetGone(),
            ev.Ended(ev.Why.TOKEN_EXPIRED),
            ev.Ended(ev.Why.DRAINING),
            ev.Ended(ev.Why.OVERDUE),
            ev.Ended(ev.Why.STOPPED),
        )
    )
