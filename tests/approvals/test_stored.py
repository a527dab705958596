"""How requests are written down: nothing is lost, and two versions of the gateway can read each other's rows."""

import json
from dataclasses import replace

import pytest
from hypothesis import given

from gateway.approvals.request import ApprovalRequest, State
from gateway.approvals.seen import Seen
from gateway.approvals.stored import from_json, to_json
from tests.bots.samples import DELETE, GRANT, GRANTABLE, NOW, PLAIN, STATES, WILD


@given(WILD)
def test_any_request_round_trips(request: ApprovalRequest) -> None:
    text = to_json(request)
    assert text.isascii()
    assert from_json(text) == request


@pytest.mark.parametrize("state", State)
def test_every_state_round_trips_with_its_types(state: State) -> None:
    back = from_json(to_json(STATES[state]))
    assert back == STATES[state]
    assert hash(back) == hash(STATES[state]), "tuples and frozensets, not lists"


def test_a_grant_round_trips() -> None:
    request = replace(
        GRANTABLE, grant=replace(GRANT, revoked_at=NOW, revoked_by="bob", revoked_via="slack", why="over")
    )
    back = from_json(to_json(request))
    assert back == request
    assert hash(back) == hash(request)


def test_what_was_seen_of_locks_round_trips() -> None:
    seen = Seen(NOW, True, (("public.orders", "SHARE"),), 2, 3.5, 1, 500.0, "it could not be asked")
    held = replace(DELETE, locks=(("public.orders", "SHARE"),), changes="public.orders")
    request = replace(PLAIN, seen=seen, looks=1, statements=(held,))
    back = from_json(to_json(request))
    assert back == request
    assert hash(back) == hash(request)
    unknown = replace(PLAIN, seen=Seen(NOW, problem="the target did not say within 1 s"))
    assert from_json(to_json(unknown)) == unknown


def test_a_row_of_an_older_version_takes_defaults() -> None:
    old = json.loads(to_json(PLAIN))
    del old["where_held"], old["preview"]["note"]
    assert from_json(json.dumps(old)) == replace(PLAIN, where_held="idle")


def test_a_row_of_a_newer_version_is_read_without_what_is_new() -> None:
    new = json.loads(to_json(PLAIN)) | {"weather": "fine"}
    new["requester"]["shoe_size"] = 42
    assert from_json(json.dumps(new)) == PLAIN


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", to_json(PLAIN).replace('"pending"', '"asleep"')])
def test_anything_else_is_an_error(text: str) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        from_json(text)
