"""Uploads: in the order that Slack wants, and each error code on the way."""

import json
from collections.abc import AsyncIterator

import pytest
from aiohttp import ClientSession

from bots.slack.sender import open_client
from bots.workspace import Workspace
from bots.workspace.files import MOST_BYTES, complete_upload, get_upload_url
from bots.workspace.methods import ApiError
from bots.workspace.payloads import Json


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    made = Workspace(relaxed=True)
    made.add_person("Bob", "bob@example.com")
    made.add_channel("db", ["Bob"])
    made.add_channel("others", ["Bob"], with_app=False)
    await made.start()
    yield made
    await made.stop()


async def test_the_sdks_upload_arrives_whole(workspace: Workspace) -> None:
    client = open_client(workspace.bot_token, workspace.api_url)
    text = "time,who\n" + "x" * 900_000
    channel = workspace.state.channel("db").id
    await client.files_upload_v2(filename="audit.csv", content=text, channel=channel, initial_comment="here")
    [message] = workspace.messages("db")
    assert (message.text, [each.name for each in message.files]) == ("here", ["audit.csv"])
    assert message.files[0].content == text.encode()
    assert client.session is not None
    await client.session.close()


@pytest.mark.parametrize(
    "args",
    [{}, {"filename": "a"}, {"filename": "a", "length": 0}, {"filename": "a", "length": MOST_BYTES + 1}, {"length": 3}],
)
def test_what_can_not_be_announced(workspace: Workspace, args: Json) -> None:
    with pytest.raises(ApiError, match="invalid_arguments"):
        get_upload_url(workspace.state, args)


async def test_bytes_are_taken_once_and_as_many_as_announced(workspace: Workspace) -> None:
    announced = get_upload_url(workspace.state, {"filename": "a", "length": 3})
    named = json.dumps([{"id": announced["file_id"]}])
    db = workspace.state.channel("db").id
    assert _refusal(workspace, files=named, channel_id=db) == "file_not_found", "nothing was uploaded yet"
    async with ClientSession() as http:
        for body, status in ((b"four", 404), (b"abc", 200), (b"abc", 404)):
            async with http.post(announced["upload_url"], data=body) as answer:
                assert answer.status == status
        async with http.post(f"{workspace.url}/upload/F1", data=b"abc") as answer:
            assert answer.status == 404
    for change, error in (
        ({"files": "["}, "invalid_arguments"),
        ({"files": "[]"}, "invalid_arguments"),
        ({"files": "[1]"}, "file_not_found"),
        ({"channel_id": "#db"}, "channel_not_found"),
        ({"channel_id": workspace.state.channel("others").id}, "channel_not_found"),
        ({"thread_ts": "1.2"}, "invalid_thread_ts"),
    ):
        assert _refusal(workspace, **{"files": named, "channel_id": db, **change}) == error
    assert complete_upload(workspace.state, {"files": named, "channel_id": db})["files"][0]["title"] == "a"


def _refusal(workspace: Workspace, **args: str) -> str:
    with pytest.raises(ApiError) as refused:
        complete_upload(workspace.state, args)
    return refused.value.error
