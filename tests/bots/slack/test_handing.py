"""A file for one person: where it arrives, and what is said where it does not."""

from collections.abc import AsyncIterator

import pytest

from bots.answers import Answer, File
from bots.slack.handing import FAILED, NO_SCOPE, SENT, hand_over
from bots.slack.sender import open_client
from bots.workspace import Workspace

FILE = File("audit.csv", "time,who\n1,ann\n")
ANSWER = Answer(
    "Audit export", ("12 statements, times in UTC.",), footer="log intact through #12, head <7c1e>", file=FILE
)


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    made = Workspace(relaxed=True)
    made.add_person("Bob", "bob@example.com")
    made.add_channel("db", ["Bob"])
    await made.start()
    yield made
    await made.stop()


async def sent(workspace: Workspace) -> str:
    client = open_client(workspace.bot_token, workspace.api_url)
    try:
        return await hand_over(client, workspace.state.person("Bob").id, ANSWER, FILE)
    finally:
        assert client.session is not None
        await client.session.close()


async def test_it_arrives_in_the_direct_messages_with_its_proof(workspace: Workspace) -> None:
    assert await sent(workspace) == SENT
    said, file = workspace.direct_messages("Bob")
    assert said.text == "Audit export: 12 statements, times in UTC. log intact through #12, head &lt;7c1e&gt;"
    assert file.thread_ts == said.ts
    assert [(each.name, each.content) for each in file.files] == [("audit.csv", FILE.content.encode())]
    assert workspace.messages("db") == []


async def test_without_the_scope_it_says_what_to_do(workspace: Workspace) -> None:
    workspace.state.scopes -= {"files:write"}
    assert await sent(workspace) == NO_SCOPE


async def test_a_big_one_arrives_whole(workspace: Workspace) -> None:
    client = open_client(workspace.bot_token, workspace.api_url)
    content = "\ud800" + "é" * 3_000_000
    bob = workspace.state.person("Bob").id
    assert await hand_over(client, bob, ANSWER, File("audit.csv", content)) == SENT
    assert workspace.direct_messages("Bob")[-1].files[0].content == content.encode("utf-8", "replace")
    assert client.session is not None
    await client.session.close()


@pytest.mark.parametrize("method", ["chat.postMessage", "files.getUploadURLExternal", "files.completeUploadExternal"])
async def test_a_chat_that_does_not_take_it(workspace: Workspace, method: str) -> None:
    workspace.fail(method, status=502)
    assert await sent(workspace) == FAILED
