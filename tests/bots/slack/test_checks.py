"""What Slack tells of itself: whose clock is off, which channels others read along in."""

from collections.abc import AsyncIterator

import pytest
import structlog.testing

from bots.slack.checks import ahead, shared_channels, skew_text
from bots.slack.sender import open_client
from bots.workspace import Workspace

DATE = "Wed, 25 Nov 2026 10:20:00 GMT"
NOW = 1_795_602_000.0


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    made = Workspace()
    await made.start()
    yield made
    await made.stop()


@pytest.mark.parametrize("headers", [{"Date": DATE}, {"date": [DATE]}])
def test_how_far_our_clock_is_ahead(headers: dict[str, object]) -> None:
    assert ahead(headers, NOW + 400) == 400.0
    assert ahead(headers, NOW - 90) == -90.0


@pytest.mark.parametrize("headers", [{}, {"Date": "soon"}])
def test_an_answer_without_a_date_tells_nothing(headers: dict[str, object]) -> None:
    assert ahead(headers, NOW) is None


def test_only_a_clock_that_is_far_off_is_worth_a_word() -> None:
    assert skew_text(None) == skew_text(59.0) == skew_text(-59.0) == ""
    assert skew_text(1400.4) == "1,400 s ahead of Slack's"
    assert skew_text(-61.0) == "61 s behind Slack's"


async def test_channels_that_others_read_along_in(workspace: Workspace) -> None:
    workspace.add_channel("ours", [], channel_id="C1")
    workspace.add_channel("theirs", [], channel_id="C2").is_ext_shared = True
    client = open_client(workspace.bot_token, workspace.api_url)
    with structlog.testing.capture_logs() as said:
        assert await shared_channels(client, ["C1", "C2", "C9"]) == ["C2"]
    assert [(each["channel"], each["error"]) for each in said] == [("C9", "channel_not_found")]
    assert client.session is not None
    await client.session.close()
