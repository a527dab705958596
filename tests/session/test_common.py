"""What sessions share, and that none is told or let do anything by it that it wouldn't be alone.

`Alone` gives each session a twin that shares nothing and never takes the short way: both must say, send and record the same,
whatever others have met before.
"""

import gc
import weakref
from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.identity.claims import Identity
from gateway.policy.model import Policy, load
from gateway.session import events as ev
from gateway.session.common import LONGEST, READINGS, Commons, Generations, Standing
from gateway.session.plain import common
from gateway.session.session import Session
from gateway.sql.catalog import Catalog, Relation
from gateway.sql.parse import read
from gateway.wire.frontend import query
from tests.playbook import ANN, NOW, POLICY, Playbook, catalog, columns, complete, ready, row, whole

READS = [
    "SELECT name FROM customers WHERE id = 1",
    "SELECT name FROM customers WHERE name = 'x'",
    "SELECT card_number FROM customers WHERE id = 1",
    "SELECT id FROM orders WHERE id = 1",
    "SELECT name FROM customers WHERE card_number = 'x'",
]
MASKS = """
masking:
  columns: [{column: "shop.public.customers.card_number", mask: redact}]
  detect: [card]
  clear_for: {groups: [trusted]}
"""
BY_GROUP = """
version: 1
issuers: [{issuer: "https://issuer.test", audience: hoop}]
targets:
  shop: {environment: production, host: db.test, port: 5432, database: shop, sslmode: disable, user: hoop, password: {env: X}}
  other: {environment: test, host: db.test, port: 5432, database: other, sslmode: disable, user: hoop, password: {env: X}}
reviewers:
  dba: {groups: [dba], channels: ["slack:C1"]}
rules:
  - {name: eng reads, effect: allow, statements: [read], groups: [eng], tables: ["public.*"], applications: [psql], client_networks: [127.0.0.0/8]}
  - {name: guests wait, effect: hold, statements: [read], groups: [guests], reviewers: dba}
"""


class Alone:
    """A session that shares with all that were made with the same `commons`, and its twin that shares nothing."""

    def __init__(self, commons: Commons, policy: Policy, knows: Catalog, **given: object) -> None:
        given = {"path": ("public",), **given}
        self.one = Playbook(policy, knows=knows, commons=commons, **given).session  # type: ignore[arg-type] # as named there
        self.two = Playbook(policy, knows=knows, **given).session  # type: ignore[arg-type]
        self.two.short.shut = True

    def give(self, *events: ev.Event) -> bytes:
        """Both do, say and record the same; returns what is said."""
        said = b""
        for event in events:
            one, two = _summed(self.one, event), _summed(self.two, event)
            assert one == two
            said += one[0]
        return said

    def asks(self, text: str, described: bytes, *values: bytes) -> bytes:
        """Ask and answer, if it is let through."""
        said = self.give(ev.FromClient(query(text)))
        if not self.one.short.waits and not self.one.talk.replies:
            return said
        return said + self.give(ev.FromTarget(described + row(*values) + complete("SELECT 1") + ready()))

    @property
    def flew(self) -> bool:
        return self.one.short.flight is not None


def _summed(session: Session, event: ev.Event) -> tuple[bytes, bytes, list[ev.Effect]]:
    effects = session.handle(event, NOW)
    said = b"".join(each.data for each in effects if isinstance(each, ev.ToClient))
    sent = b"".join(each.data for each in effects if isinstance(each, ev.ToTarget))
    return said, sent, [whole(each) for each in effects if not isinstance(each, ev.ToClient | ev.ToTarget)]


NAME, CARD = columns("name", first=2), columns("card_number", first=3)
ORDER = columns("id", table=16500, first=1)


def all_reads(session: Alone) -> bytes:
    """Each twice, so that what can be learnt is."""
    said = b""
    for _ in range(2):
        said += session.asks(READS[0], NAME, b"Ann") + session.asks(READS[1], NAME, b"Ann")
        said += session.asks(READS[2], CARD, b"4111 1111 1111 1111") + session.asks(READS[3], ORDER, b"1")
        said += session.asks(READS[4], NAME, b"Ann")
    return said


@pytest.fixture
def commons() -> Commons:
    return Commons()


POLICY_OF = load(POLICY + MASKS)
GROUPS = load(BY_GROUP + MASKS)
CATALOG = catalog()


# --- what is shared ---------------------------------------------------------------------------------------------------


def test_the_first_read_of_a_session_takes_the_short_way_where_another_has_met_it(commons: Commons) -> None:
    all_reads(Alone(commons, POLICY_OF, CATALOG))
    later = Alone(commons, POLICY_OF, CATALOG)
    later.give(ev.FromClient(query(READS[0])))
    assert later.flew
    later.give(ev.FromTarget(NAME + row(b"Ann") + complete("SELECT 1") + ready()))
    assert not later.flew


def test_it_is_recorded_as_its_own(commons: Commons) -> None:
    all_reads(Alone(commons, POLICY_OF, CATALOG))
    later = Playbook(POLICY_OF, knows=CATALOG, path=("public",), commons=commons)
    later.session.short._session = b'"s-99"'
    later.client(query("SELECT name FROM customers WHERE id = 7"))
    assert [(each["session"], each["statement"], each["sql"]) for each in later.recorded("statement")] == [
        ("s-99", 1, "SELECT name FROM customers WHERE id = 7")
    ]


def test_a_text_is_read_once_for_all(commons: Commons) -> None:
    one, two = (Playbook(POLICY_OF, knows=CATALOG, commons=commons).session.talk.judge for _ in range(2))
    text = "DELETE FROM customers WHERE id = 1"
    assert one.reader.read(text) is two.reader.read(text)


def test_texts_of_one_shape_are_read_once(commons: Commons) -> None:
    one, two = (Playbook(POLICY_OF, knows=CATALOG, commons=commons).session.talk.judge for _ in range(2))
    one.reader.read("DELETE FROM customers WHERE name = 'Ann'")
    assert len(one.grounds.reading.likes._young) == 1
    other = "DELETE FROM customers WHERE name = 'Bob''s'"
    assert two.reader.read(other) == one.reader._resolved(read(other))
    assert len(one.grounds.reading.texts._young) == 1


def test_a_long_text_is_not_kept(commons: Commons) -> None:
    one, two = (Playbook(POLICY_OF, knows=CATALOG, commons=commons).session.talk.judge for _ in range(2))
    text = f"SELECT name FROM customers WHERE name = '{'x' * LONGEST}'"
    for judge in (one, two):
        judge.reader.answered(text, read(text, max_bytes=2 * len(text)))
        assert judge.reader.read(text) is not None
    assert one.reader.read(text) is None
    assert one.grounds.reading.most == 0


# --- what is not ------------------------------------------------------------------------------------------------------

GUEST = replace(ANN, subject="guest-1", user="guest@example.com", email=None, groups=frozenset({"guests"}))
TRUSTED = replace(ANN, groups=frozenset({"eng", "trusted"}))
NAMESAKE = Identity("https://other.test", "ann-1", ANN.user, ANN.email, ANN.groups, ANN.expires_at)
MOVED = replace(
    CATALOG,
    relations={**CATALOG.relations, ("public", "customers"): Relation(1, "public", "customers", "v", {"id": 1})},
)
SHADOWED = replace(
    CATALOG,
    relations={
        **CATALOG.relations,
        ("other", "customers"): Relation(77, "other", "customers", "r", {"name": 1, "id": 2}),
    },
)
DIFFERENT: dict[str, Callable[[Commons], Alone]] = {
    "another person": lambda commons: Alone(commons, GROUPS, CATALOG, who=GUEST),
    "the same person in another group": lambda commons: Alone(
        commons, GROUPS, CATALOG, who=replace(ANN, groups=frozenset({"eng", "guests"}))
    ),
    "a person who sees all": lambda commons: Alone(commons, GROUPS, CATALOG, who=TRUSTED),
    "the same name of another issuer": lambda commons: Alone(commons, GROUPS, CATALOG, who=NAMESAKE),
    "the same token later": lambda commons: Alone(commons, GROUPS, CATALOG, who=replace(ANN, expires_at=NOW - 1)),
    "another program": lambda commons: Alone(commons, GROUPS, CATALOG, agent="dump"),
    "another address": lambda commons: Alone(commons, GROUPS, CATALOG, client="192.0.2.1"),
    "another policy of the same text": lambda commons: Alone(commons, load(BY_GROUP + MASKS), CATALOG),
    "a policy without masks": lambda commons: Alone(commons, load(BY_GROUP), CATALOG),
    "a policy that denies": lambda commons: Alone(commons, load(BY_GROUP.replace("allow", "deny")), CATALOG),
    "rules by the hour": lambda commons: Alone(
        commons, load(BY_GROUP.replace("allow,", "allow, hours: {tz: UTC, from: '00:00', to: '00:01'},")), CATALOG
    ),
    "another search_path": lambda commons: Alone(commons, GROUPS, CATALOG, path=("other", "public")),
    "no search_path": lambda commons: Alone(commons, GROUPS, CATALOG, path=()),
    "another catalog": lambda commons: Alone(commons, GROUPS, MOVED),
    "a table in front": lambda commons: Alone(commons, GROUPS, SHADOWED, path=("other", "public")),
    "a transaction": lambda commons: Alone(commons, GROUPS, CATALOG, status="T"),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_nothing_leaks_to(what: str, commons: Commons) -> None:
    """Its twin knows nothing of what the first has met; and nothing goes back."""
    first = Alone(commons, GROUPS, CATALOG)
    met = all_reads(first)
    all_reads(DIFFERENT[what](commons))
    all_reads(first)
    assert all_reads(Alone(commons, GROUPS, CATALOG)) == met


def test_masks_and_holds_are_what_the_cases_differ_by(commons: Commons) -> None:
    """Or the cases above would compare like with like."""
    assert b"4111" not in all_reads(Alone(commons, GROUPS, CATALOG))
    assert b"4111" in all_reads(Alone(commons, GROUPS, CATALOG, who=TRUSTED))
    trusted, ann = (Playbook(GROUPS, who, knows=CATALOG, commons=commons).session.talk.judge for who in (TRUSTED, ANN))
    assert (trusted.grounds.protects, ann.grounds.protects) == (False, True)
    guest = Playbook(GROUPS, GUEST, knows=CATALOG, path=("public",), commons=commons)
    guest.client(query(READS[0]))
    assert not guest.recorded("statement")
    assert guest.session.short.flight is None


OWN: dict[str, list[ev.Event]] = {
    "a temporary table in front": [
        ev.FromClient(query("CREATE TEMP TABLE customers (name text)")),
        ev.FromTarget(complete("CREATE TABLE") + ready()),
    ],
    "another role": [
        ev.FromClient(query("SET ROLE other")),
        ev.FromTarget(complete("SET") + ready()),
    ],
    "another path": [
        ev.FromClient(query("SET search_path = other, public")),
        ev.FromTarget(complete("SET") + ready()),
        ev.FromTarget(columns("search_path", table=0) + row(b"other, public") + complete("SHOW") + ready()),
    ],
    "another name": [
        ev.FromClient(query("SET application_name = 'dump'")),
        ev.FromTarget(complete("SET") + ready()),
    ],
    "a policy": [ev.PolicyChanged(load(BY_GROUP.replace("allow", "deny") + MASKS))],
    "a catalog": [ev.CatalogChanged(MOVED)],
    "no catalog": [ev.CatalogChanged(None)],
    "a copy of what is protected": [
        ev.FromClient(query("CREATE TABLE copied AS SELECT card_number AS name FROM customers")),
        ev.FromTarget(complete("SELECT 1") + ready()),
        ev.CatalogReloaded(CATALOG),
    ],
    "a reason": [ev.FromClient(query("SET hoop.reason = 'why'")), ev.FromTarget(complete("SET") + ready())],
    "a read that writes": [
        ev.FromClient(query(READS[1])),
        ev.FromTarget(complete("SELECT 1") + ready("T")),
    ],
}
#: Lets everything of the above through, so that it is about what comes behind it.
OPEN = load(
    BY_GROUP.replace(
        "statements: [read], groups: [eng]", "statements: [read, write, ddl, session, opaque], groups: [eng]"
    )
    + MASKS
)


@pytest.mark.parametrize("what", OWN)
def test_what_a_session_has_done_stays_with_it(what: str, commons: Commons) -> None:
    first = Alone(commons, OPEN, CATALOG)
    met = all_reads(first)
    other = Alone(commons, OPEN, CATALOG)
    all_reads(other)
    other.give(*OWN[what])
    all_reads(other)
    assert all_reads(Alone(commons, OPEN, CATALOG)) == met


def test_a_session_that_has_copied_what_is_protected_reads_for_itself(commons: Commons) -> None:
    judge = Playbook(OPEN, knows=CATALOG, path=("public",), commons=commons).session.talk.judge
    shared = judge.grounds.reading
    assert judge.like_others
    script = judge.reader.read("CREATE TABLE copied AS SELECT card_number AS name FROM customers")
    assert script is not None
    judge.spreading.runs(script.statements[0])
    assert judge.grounds.reading is not shared
    assert not judge.like_others
    assert judge.grounds.reading.masks != shared.masks


@pytest.mark.parametrize("what", ["a role", "a writer", "a child", "a copy", "settings"])
def test_a_session_that_differs_looks_plain_reads_up_in_its_own(what: str, commons: Commons) -> None:
    talk = Playbook(OPEN, knows=CATALOG, path=("public",), commons=commons).session.talk
    shared = common(talk)
    assert shared is common(Playbook(OPEN, knows=CATALOG, path=("public",), commons=commons).session.talk)
    script = talk.reader.read("SELECT name FROM customers")
    assert script is not None
    if what == "a role":
        talk.role_moved = True
    elif what == "a writer":
        talk.judge.writes(script.statements[0])
    else:
        text = {
            "a child": "CREATE TABLE child () INHERITS (customers)",
            "a copy": "CREATE TABLE copied AS SELECT card_number AS name FROM customers",
            "settings": "SELECT set_config('x.y', card_number, false) FROM customers",
        }[what]
        script = talk.reader.read(text)
        assert script is not None
        talk.spreading.runs(script.statements[0])
    assert common(talk) is None


# --- how much is kept -------------------------------------------------------------------------------------------------


def standing(number: int = 0) -> Standing:
    return Standing("shop", "hoop", (f"s{number}",), clear=False)


def test_a_reading_goes_with_its_policy_and_its_catalog(commons: Commons) -> None:
    one = commons.reading(POLICY_OF, CATALOG, standing())
    assert commons.reading(POLICY_OF, CATALOG, standing()) is one
    other = commons.reading(POLICY_OF, replace(CATALOG), standing())
    assert other is not one
    assert commons.reading(load(POLICY + MASKS), other.catalog, standing()) is not other


@pytest.mark.parametrize(
    "other",
    [
        Standing("other", "hoop", ("s0",), clear=False),
        Standing("shop", "reader", ("s0",), clear=False),
        Standing("shop", "hoop", ("s1",), clear=False),
        Standing("shop", "hoop", ("s0",), clear=True),
        Standing("shop", "hoop", ("s0",), clear=False, copied=(("a.b.c.d", "redact"),)),
        Standing("shop", "hoop", ("s0",), clear=False, doubts_settings=True),
    ],
)
def test_a_reading_is_of_one_standing(other: Standing, commons: Commons) -> None:
    one = commons.reading(POLICY_OF, CATALOG, standing())
    assert commons.reading(POLICY_OF, CATALOG, other) is not one
    assert commons.reading(POLICY_OF, CATALOG, standing()) is one


def test_nothing_is_kept_of_what_is_over(commons: Commons) -> None:
    """A catalog of many tables is large: those of before aren't kept for standings that nobody has any more."""
    kept = commons.reading(POLICY_OF, CATALOG, Standing("other", "hoop", ("s0",), clear=False))
    old = [weakref.ref(commons.reading(POLICY_OF, CATALOG, standing(number)).lineages._known) for number in (1, 2)]
    commons.reading(POLICY_OF, replace(CATALOG), standing())
    gc.collect()
    assert [each() for each in old] == [None, None]
    assert commons.reading(POLICY_OF, CATALOG, Standing("other", "hoop", ("s0",), clear=False)) is kept
    commons.reading(load(POLICY + MASKS), None, standing())
    assert commons.reading(POLICY_OF, CATALOG, Standing("other", "hoop", ("s0",), clear=False)) is not kept


def test_what_is_a_sessions_own_is_nobody_elses(commons: Commons) -> None:
    own = replace(standing(), doubts_settings=True)
    assert commons.reading(POLICY_OF, CATALOG, own) is not commons.reading(POLICY_OF, CATALOG, own)


def test_the_reading_that_was_used_last_goes_first(commons: Commons) -> None:
    kept, gone = (commons.reading(POLICY_OF, CATALOG, standing(number)) for number in (0, 1))
    for number in range(2, READINGS + 1):
        commons.reading(POLICY_OF, CATALOG, standing())
        commons.reading(POLICY_OF, CATALOG, standing(number))
    assert commons.reading(POLICY_OF, CATALOG, standing()) is kept
    assert commons.reading(POLICY_OF, CATALOG, standing(1)) is not gone


def test_generations_forget_what_nobody_asks_for() -> None:
    known: Generations[int, str] = Generations(1000)
    for number in range(100):
        known.put(number, str(number), 100)
        assert known.get(0) == "0"
        assert known.most <= 1000
    assert known.get(99) == "99"
    assert known.get(50) is None
    assert known.get(-1) is None


def test_what_grows_counts() -> None:
    known: Generations[int, str] = Generations(1000)
    known.put(1, "one", 100)
    known.grew(401)
    assert known.get(1) == "one"
    known.grew(401)
    known.grew(501)
    assert known.get(1) is None
