"""What stands around a gateway, looked at for real: a store, PostgreSQL logins, the workspace as Slack, Microsoft's double."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import ANY

import pytest

from bots.workspace import Workspace
from gateway.cli import surroundings
from gateway.cli.manifest import SCOPES
from gateway.cli.surroundings import Finding, State, ok, problem
from gateway.demo.postgres import EmbeddedPostgres
from gateway.errors import StoreUnavailable
from gateway.policy.model import Issuer, Policy, Secret, Target, load
from gateway.relay import side
from gateway.relay.credentials import Credentials
from gateway.settings import Slack, Teams
from gateway.store.postgres import PostgresStore
from tests.bots.teams.office import trusting
from tests.e2e.certificates import self_signed
from tests.fakes.microsoft import Microsoft
from tests.fakes.stores import fresh, postgres_store
from tests.fakes.teams import APP_ID, PASSWORD, TENANT
from tests.fakes.teams import Teams as FakeTeams
from tests.playbook import POLICY


def policy(*channels: str) -> Policy:
    return load(POLICY.replace('channels: ["slack:C1"]', f"channels: {list(channels)}"))


# store ---------------------------------------------------------------------------------------------------------------


async def test_a_store_that_is_away_is_told_without_its_dsn() -> None:
    [found] = await surroundings.store("postgresql://hoop:s3cret@127.0.0.1:1/x", None)
    assert found == problem("store", ANY, "check HOOP_STORE, and that its server runs and takes this login")
    assert "s3cret" not in found.text


async def test_a_store_that_was_never_migrated_stays_as_it_is(postgres: EmbeddedPostgres) -> None:
    await postgres.psql("CREATE DATABASE never;")
    [found] = await surroundings.store(postgres.dsn("never"), None)
    assert found.state is State.NOTE
    assert found.text.endswith("of its schema not run: hoop serve makes its tables when it starts")
    assert await postgres.psql("SELECT count(*) FROM pg_namespace WHERE nspname = 'hoop'", "never") == "0"


async def test_a_store_whose_login_may_not_migrate_is_a_problem(postgres: EmbeddedPostgres) -> None:
    """The same as for a start: one for which there is no schema yet, and one that lacks the last migration of another's."""
    await postgres.psql("CREATE ROLE little LOGIN PASSWORD 'secret'; CREATE DATABASE anew; CREATE DATABASE behind;")
    opened = await PostgresStore.connect(postgres.dsn("behind"))
    await opened.close()
    last = "DELETE FROM hoop.migration WHERE number = (SELECT max(number) FROM hoop.migration);"
    rights = "GRANT USAGE ON SCHEMA hoop TO little; GRANT SELECT ON hoop.migration TO little; GRANT CREATE ON DATABASE behind TO little;"
    await postgres.psql(last + rights, "behind")
    try:
        for name in ("anew", "behind"):
            dsn = f"postgresql://little:secret@{postgres.host}:{postgres.port}/{name}"
            [found] = await surroundings.store(dsn, None)
            assert found.state is State.PROBLEM
            assert found.text.endswith("of its schema not run, and this login may not run them")
            with pytest.raises(StoreUnavailable, match="can't be brought up to date"):
                await PostgresStore.connect(dsn)
        assert (await surroundings.store(postgres.dsn("behind"), None))[0].state is State.NOTE
    finally:
        await postgres.psql("DROP DATABASE anew;")
        await postgres.psql("DROP DATABASE behind;")
        await postgres.psql("DROP ROLE little;")


async def test_a_store_tells_who_runs_and_which_cards_were_given_up(store_dsn: str) -> None:
    async with postgres_store(store_dsn) as store:
        assert await surroundings.store(store_dsn, None) == [
            ok("store", "reached, its schema is up to date"),
            Finding("replicas", State.NOTE, "no gateway runs with this store now"),
            ok("cards", "none given up, 0 to be shown or redrawn"),
        ]
        await store.heartbeat("host:1:0")
        request = fresh(channels=("slack:C1",))
        await store.open(request, lambda _request: ())
        [post] = await store.due()
        await store.failed(post.id, "slack:C1: not_in_channel: invite the app to the channel: /invite @hoop", None)
        _, replicas, cards = await surroundings.store(store_dsn, None)
        assert replicas == ok("replicas", "1 replica running: host:1:0")
        assert cards.state is State.PROBLEM
        assert cards.text.startswith(f"1 card given up; the newest: request {request.id}, slack:C1: not_in_channel")


async def test_a_teams_channel_that_never_heard_of_the_app(store_dsn: str) -> None:
    named = policy("teams:19:a@thread.tacv2")
    async with postgres_store(store_dsn) as store:
        assert (await surroundings.store(store_dsn, named))[-1].fix.startswith("add the app to that team")
        await store.met("19:a@thread.tacv2", "", "https://smba.example/", time.time())
        assert (await surroundings.store(store_dsn, named))[-1].part == "cards"


# issuer, targets -----------------------------------------------------------------------------------------------------


async def test_an_issuer_that_is_away() -> None:
    found = await surroundings.issuer(Issuer("http://127.0.0.1:1", "hoop"), insecure_loopback=True)
    assert (found.part, found.state) == ("issuer http://127.0.0.1:1", State.PROBLEM)


@pytest.mark.parametrize(
    ("rights", "password", "said"),
    [
        ("", "secret", ok("target shop as doctors", "logged in, no right too many")),
        ("SUPERUSER", "secret", problem("target shop as doctors", ANY, "take that right away, or give the gateway a login without it")),
        ("", "s3cret-wrong", problem("target shop as doctors", "target shop refused the gateway's own login", ANY)),
        ("", "", problem("target shop as doctors", "the environment variable SHOP_PASSWORD is not set", ANY)),
    ],
)  # fmt: skip
async def test_a_target_is_logged_in_to(postgres: EmbeddedPostgres, rights: str, password: str, said: Finding) -> None:
    await postgres.psql(f"CREATE ROLE doctors LOGIN PASSWORD 'secret' {rights}")
    where = (postgres.host, postgres.port, "postgres", "doctors")
    shop = Target("shop", "test", *where, Secret(env="SHOP_PASSWORD"), sslmode="disable")
    try:
        assert await surroundings.target(shop, Credentials({"SHOP_PASSWORD": password})) == [said]
    finally:
        await postgres.psql("DROP ROLE doctors")


async def test_an_old_server_is_no_right_that_could_be_taken_away(
    postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(side, "_KEEPS_TO_READING", 10**9)
    await postgres.psql("CREATE ROLE doctors LOGIN PASSWORD 'secret'")
    where = (postgres.host, postgres.port, "postgres", "doctors")
    shop = Target("shop", "test", *where, Secret(env="SHOP_PASSWORD"), sslmode="disable")
    fix = "give the target a `reader` in the policies file, or move it to PostgreSQL 16"
    try:
        found = await surroundings.target(shop, Credentials({"SHOP_PASSWORD": "secret"}))
    finally:
        await postgres.psql("DROP ROLE doctors")
    assert found == [problem("target shop as doctors", side.NO_READER, fix)]


async def test_a_target_that_is_away_says_where_it_was_looked_for() -> None:
    shop = Target("shop", "test", "127.0.0.1", 1, "shop", "hoop", Secret(env="X"), sslmode="disable")
    [found] = await surroundings.target(shop, Credentials({"X": "s3cret"}))
    assert found.fix == "check 127.0.0.1:1, database shop, sslmode disable, its pg_hba.conf and the password"
    assert "s3cret" not in f"{found}"


async def test_a_target_whose_certificate_is_not_verified_says_sslrootcert(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)  # SSLRequest
        writer.write(b"S")
        with contextlib.suppress(OSError):
            await writer.start_tls(context)
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        shop = Target("shop", "test", "127.0.0.1", port, "shop", "hoop", Secret(env="X"), sslmode="verify-full")
        for file, said in ((None, "is not set: "), (tmp_path / "gone.pem", f"is {tmp_path}/gone.pem; ")):
            at = replace(shop, sslrootcert=str(file) if file else None)
            [found] = await surroundings.target(at, Credentials({"X": "s3cret"}))
            assert found.state is State.PROBLEM
            assert found.fix.startswith(f"`sslrootcert` of the target {said}")
            assert "password" not in found.fix


# masked columns ------------------------------------------------------------------------------------------------------

TYPO = "shop.public.customers.salry"


@pytest.fixture
async def payroll(postgres: EmbeddedPostgres) -> AsyncIterator[EmbeddedPostgres]:
    await postgres.psql("CREATE ROLE payroll LOGIN PASSWORD 'secret'; CREATE DATABASE payroll;")
    await postgres.psql("CREATE TABLE customers (id int, salary int);", "payroll")
    yield postgres
    await postgres.psql("DROP DATABASE payroll; DROP ROLE payroll;")


async def masked(server: EmbeddedPostgres, *columns: str, password: str = "secret", crm_port: int = 1) -> list[Finding]:
    """As doctor says it of two targets: shop is there, crm is away, or empty."""
    entries = ", ".join(f'{{column: "{each}", mask: redact}}' for each in columns)
    made = load(f"{POLICY}masking: {{columns: [{entries}]}}\n")
    shop = Target(*("shop", "test", server.host, server.port, "payroll", "payroll"), Secret(env="X"), sslmode="disable")
    crm = replace(shop, name="crm", port=crm_port, database="postgres")
    return await surroundings.masked(replace(made, targets={"shop": shop, "crm": crm}), Credentials({"X": password}))


async def test_a_masked_column_that_is_not_there_is_a_problem(payroll: EmbeddedPostgres) -> None:
    assert await masked(payroll, "shop.public.customers.salary", TYPO) == [
        problem(
            "masking",
            f'{TYPO}: no column of shop is called that; did you mean "public.customers.salary"?',
            "nothing is masked by it: mend `masking: columns` in the policies file, or take it out",
        )
    ]


async def test_masked_columns_that_are_there(payroll: EmbeddedPostgres) -> None:
    assert await masked(payroll) == []
    assert await masked(payroll, "shop.public.customers.salary", "shop.*.*.id") == [
        ok("masking", "each of its columns is there")
    ]


async def test_a_pattern_that_matches_nowhere_is_a_note(payroll: EmbeddedPostgres) -> None:
    away, *found = await masked(payroll, "*.public.customers.salry", "*.public.customers.salary", "shop.hr.*.*")
    assert (away.state, away.text.startswith("the columns of crm were not looked at: ")) == (State.NOTE, True)
    hint = 'did you mean "public.customers.salary"?'
    assert found == [
        Finding("masking", State.NOTE, f"*.public.customers.salry: no column of shop is called that; {hint}"),
        Finding("masking", State.NOTE, "shop.hr.*.*: no column of shop is called that"),
    ]


async def test_a_pattern_that_matches_somewhere_is_well(payroll: EmbeddedPostgres) -> None:
    found = await masked(payroll, "*.public.customers.salary", crm_port=payroll.port)
    assert found == [ok("masking", "each of its columns is there")]
    [note] = await masked(payroll, "*.public.customers.salry", crm_port=payroll.port)
    assert note.text.startswith("*.public.customers.salry: no column of shop or crm is called that; did you mean")


async def test_what_could_not_be_looked_at_is_not_called_missing(payroll: EmbeddedPostgres) -> None:
    [found] = await masked(payroll, TYPO, password="s3cret-wrong")
    assert found.state is State.NOTE
    assert "s3cret" not in found.text


# chats ---------------------------------------------------------------------------------------------------------------


def test_channels_of_a_chat_that_is_not_set_up() -> None:
    both = policy("slack:C1", "teams:19:a@thread.tacv2")
    slack, teams = surroundings.unset_chats(both, None, None)
    assert slack == problem(
        "slack", "reviewers are asked in slack:C1, and it is not set up", "set SLACK_BOT_TOKEN and SLACK_SIGNING_SECRET"
    )
    assert teams.part == "teams"
    assert surroundings.unset_chats(both, Slack("t", "s"), Teams("a", "p", "t")) == []


def test_channels_that_are_asked_later_are_looked_at_too() -> None:
    later = load(POLICY.replace('["slack:C1"]', '["slack:C1"], escalate: {channels: ["slack:C2", "teams:19:a"]}'))
    slack, teams = surroundings.unset_chats(later, None, None)
    assert "slack:C1, slack:C2" in slack.text
    assert "teams:19:a" in teams.text


@pytest.fixture
async def workspace() -> AsyncIterator[Workspace]:
    made = Workspace(relaxed=True)
    made.add_channel("approvals", [], channel_id="C1")
    made.state.scopes = {*SCOPES, "channels:read"}
    await made.start()
    yield made
    await made.stop()


async def look(workspace: Workspace, *channels: str, app_token: str = "", **changes: str) -> list[Finding]:
    settings = Slack(changes.get("token", workspace.bot_token), "sign", app_token, workspace.api_url)
    return await surroundings.slack(settings, policy(*(channels or ("slack:C1",))))


async def test_a_slack_that_is_well(workspace: Workspace) -> None:
    assert await look(workspace, app_token=workspace.app_token) == [
        ok("slack", "the token is good: hoop in Example"),
        ok("slack channel C1", "#approvals, the app can write there"),
        ok("slack", "Socket Mode can be opened"),
    ]


async def test_tokens_that_slack_refuses_are_named_and_not_shown(workspace: Workspace) -> None:
    hint = "check SLACK_BOT_TOKEN, or install the app again"
    assert await look(workspace, token="xoxb-stolen") == [
        problem("slack", "Slack refuses SLACK_BOT_TOKEN: invalid_auth", hint)
    ]
    assert (await look(workspace, app_token="xapp-stolen"))[-1].text == "Slack refuses SLACK_APP_TOKEN: invalid_auth"


async def test_scopes_that_are_missing(workspace: Workspace) -> None:
    workspace.state.scopes = {*SCOPES} - {"users:read.email"}
    _, scopes, channel = await look(workspace)
    assert scopes.text == "the app lacks users:read.email"
    assert channel.state is State.NOTE
    assert "channels:read" in channel.text


async def test_channels_that_cards_can_not_be_posted_in(workspace: Workspace) -> None:
    workspace.add_channel("elsewhere", [], channel_id="C2", with_app=False)
    workspace.add_channel("old", [], channel_id="C3").is_archived = True
    _, out, old, none = await look(workspace, "slack:C2", "slack:C3", "slack:C4")
    assert (out.text, out.fix) == ("the app is not in it", "invite the app to the channel: /invite @hoop")
    assert old.text == "it is archived"
    assert none.text == "channel_not_found"


async def test_a_channel_that_others_read_along_in(workspace: Workspace) -> None:
    workspace.add_channel("partners", [], channel_id="C2").is_ext_shared = True
    _, shared = await look(workspace, "slack:C2")
    assert (shared.text, shared.fix) == (
        "it is shared with another organisation, who would read the SQL",
        "name a channel of your own, or allow it: SLACK_SHARED_CHANNELS",
    )


async def test_a_slack_that_does_not_answer(workspace: Workspace) -> None:
    await workspace.stop()
    [found] = await look(workspace)
    assert found.text.startswith("Slack does not answer (")


async def test_clocks_that_disagree(workspace: Workspace) -> None:
    settings = Slack(workspace.bot_token, "sign", "", workspace.api_url)
    found = await surroundings.slack(settings, None, lambda: time.time() + 400)
    assert found[1].part == "clock"
    assert found[1].text.endswith(" s ahead of Slack's")


@pytest.fixture
async def microsoft(tmp_path: Path) -> AsyncIterator[Microsoft]:
    made = await FakeTeams.open(tmp_path)
    with trusting(made.certificate):
        yield made.microsoft
    await made.close()


async def test_microsoft_gives_a_token_or_says_why_not(microsoft: Microsoft) -> None:
    async def asked(password: str) -> Finding:
        settings = Teams(APP_ID, password, TENANT, microsoft.metadata_url, microsoft.login_url)
        return await surroundings.teams(settings, insecure_loopback=True)

    assert await asked(PASSWORD) == ok("teams", "Microsoft gives the app a token")
    refused = await asked("s3cret-wrong")
    assert refused.state is State.PROBLEM
    assert "TEAMS_APP_PASSWORD" in refused.text
    assert "s3cret" not in f"{refused}"
