"""Whom a click is taken for: a link, the chat's own accounts, an address; and with which groups."""

from dataclasses import replace

import pytest

from gateway.approvals.people import People
from gateway.approvals.request import Approval, Person, identity, is_named, known_as, same_person
from gateway.approvals.stored import from_json, to_json
from gateway.identity.accounts import Account
from gateway.store.memory import MemoryStore
from tests.bots.samples import BOB, CAROL, EVE, PLAIN
from tests.fakes.clock import Clock

SLACK = Account("slack", "/T1", "U1", "Bob in Slack")
MAIL = "b.smith@chat.example"


@pytest.fixture
def people(store: MemoryStore, clock: Clock) -> People:
    return People(store, clock=clock, link_max_age=3600.0, directory=None)


async def test_a_link_says_more_than_an_address_and_an_account(
    people: People, store: MemoryStore, clock: Clock
) -> None:
    for each in (BOB, CAROL, replace(EVE, email=MAIL)):
        await store.saw(each, clock())
    assert (await people.reviewer(MAIL, chat=SLACK) or BOB).subject == EVE.subject
    await store.link(SLACK, BOB, clock())
    carols = identity(CAROL.issuer, CAROL.subject)
    assert await people.reviewer(MAIL, [(CAROL.issuer, CAROL.subject)], SLACK) == replace(
        BOB, also=(SLACK.key, MAIL, carols)
    )
    assert await people.reviewer("", chat=SLACK) == replace(BOB, also=(SLACK.key,))
    await store.unlink(SLACK)
    assert (await people.reviewer(MAIL, chat=SLACK) or BOB).subject == EVE.subject


async def test_a_linked_persons_groups_are_of_their_last_token(
    people: People, store: MemoryStore, clock: Clock
) -> None:
    await store.link(SLACK, BOB, clock())
    nothing_yet = await people.reviewer(MAIL, chat=SLACK)
    assert nothing_yet == replace(BOB, groups=frozenset(), also=(SLACK.key, MAIL))
    await store.saw(BOB, clock())
    assert (await people.reviewer(MAIL, chat=SLACK) or EVE).groups == {"dba"}
    clock.now += 3601
    assert (await people.reviewer(MAIL, chat=SLACK) or EVE).groups == frozenset()


@pytest.mark.parametrize(
    ("knows", "groups"),
    [
        (BOB, {"dba"}),
        (replace(BOB, groups=frozenset({"former"})), {"former"}),
        (None, set()),
        (replace(BOB, subject="another"), set()),  # the address is somebody else's by now
    ],
)
async def test_a_directory_is_final_for_linked_people_too(
    store: MemoryStore, clock: Clock, knows: Person | None, groups: set[str]
) -> None:
    async def directory(_email: str) -> Person | None:
        return knows

    people = People(store, clock=clock, link_max_age=3600.0, directory=directory)
    await store.saw(BOB, clock())
    await store.link(SLACK, BOB, clock())
    found = await people.reviewer(MAIL, chat=SLACK)
    assert found is not None
    assert (found.subject, set(found.groups)) == (BOB.subject, groups)


async def test_a_person_without_an_address_is_in_no_directory(store: MemoryStore, clock: Clock) -> None:
    async def directory(_email: str) -> Person | None:
        return BOB

    people = People(store, clock=clock, link_max_age=3600.0, directory=directory)
    assert (await people.now(replace(BOB, email=None))).groups == frozenset()


async def test_a_link_hides_nobody_whom_the_chat_itself_vouches_for(
    people: People, store: MemoryStore, clock: Clock
) -> None:
    """Eve links her account in Teams to her second identity: it stays known as the first's, however long ago that was seen."""
    first = replace(EVE, user="eve", email=None)
    await store.saw(first, clock())
    await store.link(SLACK, BOB, clock())
    clock.now += 3601
    second = await people.reviewer(MAIL, [(first.issuer, first.subject)], SLACK)
    assert second is not None
    assert second.subject == BOB.subject
    assert same_person(second, first)
    assert same_person(first, second)
    assert not same_person(second, CAROL)
    assert from_json(to_json(replace(PLAIN, approvals=(Approval(second, "teams", 1.0),)))).approvals[0].by == second


async def test_a_link_hides_nobody_whom_a_directory_knows_by_the_chats_address(
    store: MemoryStore, clock: Clock
) -> None:
    """The chat has an alias of Eve's, her tokens another address."""

    async def directory(email: str) -> Person | None:
        return EVE if email == MAIL else None

    people = People(store, clock=clock, link_max_age=3600.0, directory=directory)
    await store.link(SLACK, BOB, clock())
    second = await people.reviewer(MAIL, chat=SLACK)
    assert second is not None
    assert same_person(second, EVE)


async def test_an_address_that_the_directory_has_given_to_somebody_else_names_its_former_owner_no_more(
    store: MemoryStore, clock: Clock
) -> None:
    """`users: [bob@example.com]` are whoever has that address now."""

    async def directory(email: str) -> Person | None:
        return replace(BOB, subject="the-next-bob") if email == BOB.email else None

    people = People(store, clock=clock, link_max_age=3600.0, directory=directory)
    await store.link(SLACK, BOB, clock())
    former = await people.reviewer(MAIL, chat=SLACK)
    assert former is not None
    assert former.subject == BOB.subject
    assert not is_named(former, [BOB.email or ""])
    assert same_person(former, BOB), "it still tells one human from another"


async def test_two_identities_that_share_a_chat_account_are_one_human(
    people: People, store: MemoryStore, clock: Clock
) -> None:
    """Another issuer's identity without an address in common: the account that both were linked with tells."""
    other = Person("https://second.example", "sub-77", "robert", None, frozenset({"dba"}))
    await store.link(SLACK, BOB, clock())
    asked = replace(BOB, also=tuple(await people.accounts(BOB)))
    await store.link(SLACK, other, clock())
    await store.saw(other, clock())
    clicks, signs_in = await people.reviewer("", chat=SLACK), await people.now(other)
    assert clicks is not None
    assert same_person(clicks, asked)
    assert same_person(signs_in, asked), "also on the page, where nobody's chat account is known"
    assert not same_person(await people.now(CAROL), asked)


async def test_whom_a_chat_takes_a_linked_account_for_is_known_on_the_page_too(
    people: People, store: MemoryStore, clock: Clock
) -> None:
    """Ann links her chat account with her second identity, which has the group: signed in as that she approves nothing of
    her own, as she doesn't in chat."""
    first, second = (
        replace(BOB, groups=frozenset({"engineering"})),
        Person("https://i", "admin-7", "admin-7", None, frozenset({"dba"})),
    )
    for each in (first, second):
        await store.saw(each, clock())
    before = await people.reviewer(first.email or "", chat=SLACK)
    assert before is not None
    await store.link(SLACK, replace(second, also=known_as(before)), clock())
    assert not second.also
    assert same_person(await people.now(second), first)
    chats = await people.reviewer(first.email or "", chat=SLACK)
    assert chats is not None
    assert same_person(chats, first)
    assert not same_person(await people.now(second), CAROL)
