"""The chats and the pages of a running gateway: what keeps them from starting, where they are reached."""

from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from bots.answers import Viewer
from bots.workspace import Workspace
from gateway.approvals.request import Person
from gateway.errors import ChatRefused
from gateway.identity.accounts import Account
from gateway.settings import Web
from tests.running.gateways import gateway, with_slack


async def test_a_channel_that_others_read_along_in_keeps_it_from_starting(
    file: Path, store_dsn: str, workspace: Workspace
) -> None:
    workspace.state.channels["C1"].is_ext_shared = True
    made = with_slack(file, store_dsn, workspace)
    with pytest.raises(ChatRefused, match=r"C1: it is shared with another organisation.*SLACK_SHARED_CHANNELS"):
        await made.start()
    assert not made._stops
    allowed = with_slack(file, store_dsn, workspace, "C1")
    await allowed.start()
    await allowed.stop()


async def test_its_pages_are_where_browsers_reach_it(file: Path, store_dsn: str) -> None:
    made = gateway(file, store_dsn)
    made.settings = replace(made.settings, web=Web("hoop-web", "secret"))
    await made.start()
    try:
        account = Account("slack", "/T1", "U1", "Bob")
        bob = Viewer(Person("https://issuer.test", "bob-1", "bob", None, frozenset()), "slack", account)
        way = (await made.verbs.commands().answer("link", bob)).way
        assert way is not None
        assert way.url.startswith(f"http://127.0.0.1:{made.ports.http}/link/")
        async with aiohttp.ClientSession() as browser, browser.get(way.url) as response:
            assert response.status == 200
            assert "Link a chat account" in await response.text()
        made.settings = replace(made.settings, public_url="https://gate.example.com/hoop/")
        way = (await made.verbs.commands().answer("link", bob)).way
        assert way is not None
        assert way.url.startswith("https://gate.example.com/hoop/link/")
    finally:
        await made.stop()
