"""The bot's own token: by real msal over TLS, in the same loop as the login server, so that a call that blocks never ends."""

import asyncio
import time

import pytest

from bots.teams.tokens import EARLY, LoginAway, LoginRefused, Tokens
from tests.fakes.clock import Clock
from tests.fakes.teams import APP_ID, PASSWORD, TENANT, Teams

SCOPE = "https://api.botframework.com/.default"


async def scope() -> str:
    return SCOPE


def tokens(teams: Teams, clock: Clock, password: str = PASSWORD, tenant: str = TENANT) -> Tokens:
    return Tokens(APP_ID, password, tenant, scope, clock, teams.microsoft.login_url)


async def test_one_token_serves_all_who_wait(teams: Teams) -> None:
    made = tokens(teams, Clock(time.time()))
    found = await asyncio.gather(*(made.token() for _ in range(20)))
    assert len(set(found)) == 1
    assert set(found) == teams.microsoft.issued
    assert teams.microsoft.scopes == [SCOPE]
    await made.close()


async def test_it_is_renewed_before_its_end_or_when_it_was_refused(teams: Teams) -> None:
    clock = Clock(time.time())
    made = tokens(teams, clock)
    first = await made.token()
    clock.now += 3600 - EARLY - 1
    assert await made.token() == first
    clock.now += 2
    second = await made.token()
    assert second != first
    made.forget()
    assert await made.token() != second
    await made.close()


async def test_while_the_login_server_is_away_the_old_one_is_used_to_its_end(teams: Teams) -> None:
    clock = Clock(time.time())
    made = tokens(teams, clock)
    first = await made.token()
    teams.microsoft.login.away = True
    clock.now += 3600 - EARLY + 1
    assert await made.token() == first
    clock.now += EARLY
    with pytest.raises(LoginAway):
        await made.token()
    teams.microsoft.login.away = False
    assert await made.token() != first
    await made.close()


@pytest.mark.parametrize(
    ("password", "tenant", "said"),
    [
        ("wrong secret", TENANT, "TEAMS_APP_PASSWORD: invalid_client (AADSTS7000215)"),
        (PASSWORD, "00000000-0000-4000-8000-000000000000", "check TEAMS_TENANT_ID"),
    ],
)
async def test_what_is_refused_is_named_without_the_secret(teams: Teams, password: str, tenant: str, said: str) -> None:
    made = tokens(teams, Clock(time.time()), password, tenant)
    with pytest.raises(LoginRefused) as refused:
        await made.token()
    assert said in str(refused.value)
    assert password not in str(refused.value)
    await made.close()


async def test_a_login_server_that_hangs_holds_nobody_up(teams: Teams) -> None:
    """The loop that lets it go is the one that waits for it."""
    made = tokens(teams, Clock(time.time()))
    teams.microsoft.login.hang()
    waiting = asyncio.create_task(made.token())
    async with asyncio.timeout(20):
        await teams.microsoft.login.reached.wait()
        teams.microsoft.login.go()
        assert await waiting in teams.microsoft.issued
    await made.close()


async def test_who_gives_up_takes_the_token_from_nobody(teams: Teams) -> None:
    made = tokens(teams, Clock(time.time()))
    teams.microsoft.login.hang()
    hasty, patient = asyncio.create_task(made.token()), asyncio.create_task(made.token())
    await teams.microsoft.login.reached.wait()
    hasty.cancel()
    teams.microsoft.login.go()
    assert await patient in teams.microsoft.issued
    await made.close()
