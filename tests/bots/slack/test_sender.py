"""Posting and redrawing cards through the real SDK, with each fault that Slack has for it."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
import structlog

from bots.slack.blocks import LADDER
from bots.slack.sender import HINTS, SlackSender, SlackUnwellError, open_client
from bots.workspace import Workspace
from bots.workspace.state import Channel
from gateway.approvals.outbox import Below, Front, Outbox, PermanentFailure, RetryLater, Unreached
from gateway.approvals.request import State
from gateway.store.memory import MemoryStore
from gateway.store.port import Backlog
from tests.bots.samples import DELETE, PLAIN, STATES
from tests.fakes.clock import Clock
from tests.fakes.stores import fresh

#: Far above what anything here takes.
DEADLINE = 30.0
REQUEST = replace(PLAIN, opened_at=time.time(), expires_at=time.time() + 86_400)  # longer than any run of the tests


class Room:
    def __init__(self, workspace: Workspace, channel: Channel, sender: SlackSender) -> None:
        self.workspace = workspace
        self.channel = channel
        self.sender = sender

    async def post(self) -> str:
        return await self.sender.post(self.channel.id, REQUEST)


@pytest_asyncio.fixture
async def room() -> AsyncIterator[Room]:
    workspace = Workspace(relaxed=True)
    bob = workspace.add_person("Bob", "bob@example.com")
    channel = workspace.add_channel("db-approvals", [bob])
    await workspace.start()
    client = open_client(workspace.bot_token, workspace.api_url)
    yield Room(workspace, channel, SlackSender(client, b"k" * 32, time.time))
    assert client.session is not None
    await client.session.close()
    await workspace.stop()


async def test_it_is_a_front(room: Room) -> None:
    front: Front = room.sender
    ref = json.loads(await front.post(room.channel.id, REQUEST))
    assert ref == {"channel": room.channel.id, "ts": room.workspace.messages(room.channel)[0].ts}


async def test_a_card_is_posted_and_redrawn(room: Room) -> None:
    ref = await room.post()
    (posted,) = room.workspace.messages(room.channel)
    assert posted.text.startswith("ann@example.com (cursor) wants to DELETE 42 rows")
    assert posted.metadata == {"event_type": "hoop_request", "event_payload": {"id": REQUEST.id, "rev": 1}}
    assert await room.sender.update(room.channel.id, ref, STATES[State.EXECUTED]) == ref
    (redrawn,) = room.workspace.messages(room.channel)
    assert redrawn.text.startswith("Executed: DELETE on public.customers")
    assert redrawn.ts == posted.ts


async def test_a_reminder_stands_in_the_thread_of_its_card(room: Room) -> None:
    ref = await room.post()
    await room.sender.remind(ref, replace(REQUEST, requester=replace(REQUEST.requester, user="<!channel>")))
    _, said = room.workspace.messages(room.channel)
    assert said.thread_ts == json.loads(ref)["ts"]
    start = "Still waiting for dba: DELETE on public.customers in production (shop), asked by &lt;!channel&gt;. After <!date^"
    assert said.text.startswith(start)


async def test_a_user_group_is_called_by_the_card_and_what_is_said_below_it(room: Room) -> None:
    request = replace(REQUEST, mentions=("slack:S0DBA", "slack:S1> <!channel", "teams:x"), escalate_to=("slack:C2",))
    ref = await room.sender.post(room.channel.id, request)
    await room.sender.remind(ref, request)
    await room.sender.remind(ref, replace(request, escalated_at=time.time()), Below.ESCALATED)
    await room.sender.remind(
        ref, replace(request, approvals_needed=2, approvals=STATES[State.APPROVED].approvals), Below.COUNTED
    )
    await room.sender.remind(ref, request, Below.FLOODED)
    card, waits, escalated, counted, flooded = room.workspace.messages(room.channel)
    assert {"type": "usergroup", "usergroup_id": "S0DBA"} in card.blocks[1]["elements"][0]["elements"]
    assert "S1" not in json.dumps(card.blocks)
    assert waits.text.startswith("<!subteam^S0DBA> Still waiting for dba: ")
    assert escalated.text.startswith("<!subteam^S0DBA> Escalated: nobody has decided yet. ")
    assert counted.text.startswith("1 of 2 approved by bob@example.com, needs one more: ")
    assert flooded.text.startswith("ann@example.com asks for more than may wait at once")
    said = (waits, escalated, counted, flooded)
    assert [each.broadcast for each in said] == [False, True, False, True]
    assert {each.thread_ts for each in said} == {card.ts}


async def test_a_card_that_nobody_can_decide_any_more_calls_nobody(room: Room) -> None:
    for state in set(State) - {State.PENDING}:
        await room.sender.post(room.channel.id, replace(STATES[state], mentions=("slack:S0DBA",)))
    assert "S0DBA" not in json.dumps([each.blocks for each in room.workspace.messages(room.channel)])


async def test_an_alarm_is_a_message_of_its_own(room: Room) -> None:
    broken = replace(STATES[State.APPROVED], broken="down <!channel>", approvals_needed=2)
    ref = json.loads(await room.sender.alarm(room.channel.id, broken))
    (said,) = room.workspace.messages(room.channel)
    assert (said.ts, said.thread_ts) == (ref["ts"], "")
    assert said.text.startswith("GLASS BROKEN: DELETE on public.customers")
    assert "down &lt;!channel&gt;" in said.text
    room.workspace.fail("chat.postMessage", status=429, retry_after=7)
    with pytest.raises(RetryLater):
        await room.sender.alarm(room.channel.id, broken)


async def test_a_reminder_fails_as_a_card_does(room: Room) -> None:
    ref = await room.post()
    room.workspace.fail("chat.postMessage", status=429, retry_after=7)
    with pytest.raises(RetryLater):
        await room.sender.remind(ref, REQUEST)
    await room.workspace.stop()
    with pytest.raises(Unreached):
        await room.sender.remind(ref, REQUEST)


@pytest.mark.parametrize("state", list(State))
async def test_slack_takes_every_state(room: Room, state: State) -> None:
    ref = await room.post()
    assert await room.sender.update(room.channel.id, ref, STATES[state]) == ref


async def test_rate_limits_say_when(room: Room) -> None:
    room.workspace.fail("chat.postMessage", status=429, retry_after=7)
    with pytest.raises(RetryLater) as caught:
        await room.post()
    assert caught.value.seconds == 7
    room.workspace.fail("chat.postMessage", status=429, retry_after=4000)
    with pytest.raises(RetryLater) as caught:
        await room.post()
    assert caught.value.seconds == 30


@pytest.mark.parametrize("code", sorted(HINTS))
async def test_what_will_not_go_away_is_permanent_with_a_hint(room: Room, code: str) -> None:
    room.workspace.fail("chat.postMessage", error=code)
    with pytest.raises(PermanentFailure, match=code) as caught:
        await room.post()
    assert HINTS[code] in str(caught.value)


@pytest.mark.parametrize("error", ["internal_error", "fatal_error", "service_unavailable", "something_new"])
async def test_what_goes_away_is_tried_again(room: Room, error: str) -> None:
    room.workspace.fail("chat.postMessage", error=error)
    with pytest.raises(SlackUnwellError, match=error):
        await room.post()
    await room.post()


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_html_of_a_proxy_is_tried_again(room: Room, status: int) -> None:
    room.workspace.fail("chat.postMessage", status=status)
    with pytest.raises(SlackUnwellError, match=f"http {status}"):
        await room.post()


async def test_slack_away_is_tried_again(room: Room) -> None:
    await room.workspace.stop()
    with pytest.raises(Unreached, match="ClientConnectorError"):
        await room.post()


async def test_an_answer_that_is_lost_is_no_proof_that_nothing_was_posted(room: Room) -> None:
    room.workspace.fail("chat.postMessage", status=502, late=True)
    with pytest.raises(SlackUnwellError, match="http 502"):
        await room.post()
    assert room.workspace.messages(room.channel)


async def test_a_card_too_big_is_drawn_smaller(room: Room) -> None:
    room.workspace.fail("chat.postMessage", error="msg_blocks_too_long", times=2)
    await room.post()
    (posted,) = room.workspace.messages(room.channel)
    assert not [block for block in posted.blocks if block["type"] == "table"]
    assert [block for block in posted.blocks if block["type"] == "actions"]


async def test_the_ladder_ends(room: Room) -> None:
    room.workspace.fail("chat.postMessage", error="invalid_blocks", times=len(LADDER))
    with pytest.raises(PermanentFailure, match="even the smallest card: invalid_blocks"):
        await room.post()


@pytest.mark.parametrize("error", ["message_not_found", "edit_window_closed", "cant_update_message"])
async def test_a_card_that_is_gone_is_posted_again(room: Room, error: str) -> None:
    ref = await room.post()
    room.workspace.fail("chat.update", error=error)
    again = await room.sender.update(room.channel.id, ref, STATES[State.DENIED])
    assert again != ref
    assert len(room.workspace.messages(room.channel)) == 2


async def test_a_megabyte_of_sql_is_posted(room: Room) -> None:
    request = replace(REQUEST, statements=(replace(DELETE, sql="DELETE " + "x, " * 330_000),))
    await room.sender.post(room.channel.id, request)
    (posted,) = room.workspace.messages(room.channel)
    assert "hidden, sha256" in str(posted.blocks)


async def test_a_flood_stays_within_slacks_limits() -> None:
    """Sixty cards in one channel and three changes to each, by a workspace that counts: no call is refused."""
    clock = Clock(time.time())
    workspace = Workspace(clock=clock)
    bob = workspace.add_person("Bob", "bob@example.com")
    channel = workspace.add_channel("db-approvals", [bob])
    await workspace.start()
    client = open_client(workspace.bot_token, workspace.api_url)
    store, ended = MemoryStore(clock), list[str]()

    async def undeliverable(request_id: str, _why: str) -> None:
        ended.append(request_id)

    async def never(_id: str) -> None:
        raise AssertionError

    sender = SlackSender(client, b"k" * 32, clock)
    outbox = Outbox(store, {"slack": sender}, clock, undeliverable=undeliverable, escalate=never)

    async def all_shown(revision: int) -> None:
        """Half a second at a time, as long as anything is left to send."""
        async with asyncio.timeout(DEADLINE):
            while await store.backlog() != Backlog(0, 0):
                while await outbox.send_due():
                    await asyncio.gather(*outbox._sending)
                await outbox.give_up()
                clock.now += 0.5
        assert {message.metadata["event_payload"]["rev"] for message in workspace.messages(channel)} == {revision}

    requests = [fresh(channels=(f"slack:{channel.id}",)) for _ in range(60)]
    with structlog.testing.capture_logs() as logs:
        for each in requests:
            await store.open(each, lambda _: [])
        await all_shown(1)
        for _ in range(3):
            for each in requests:
                await store.move(each.id, lambda stored, _now: stored, lambda _: [])
        await all_shown(4)
    assert len(workspace.messages(channel)) == 60
    assert (logs, ended) == ([], [])
    await outbox.close()
    assert client.session is not None
    await client.session.close()
    await workspace.stop()
