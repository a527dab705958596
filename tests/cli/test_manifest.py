"""`hoop manifest slack/teams`: what is printed is the manifest that each takes, for exactly what the app uses."""

import json
import struct
import zipfile
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from bots.commands import HELP
from bots.slack.app import PATH
from gateway.__main__ import make
from gateway.cli.manifest import SCOPES, TEAMS_COMMANDS

RUN = CliRunner()


def test_the_manifest_over_http() -> None:
    result = RUN.invoke(make(), ["manifest", "slack", "--url", "https://gate.example.com"])
    assert result.exit_code == 0
    found = yaml.safe_load(result.stdout)
    url = f"https://gate.example.com{PATH}"
    (command,) = found["features"]["slash_commands"]
    assert (command["command"], command["url"]) == ("/hoop", url)
    assert found["settings"]["interactivity"] == {"is_enabled": True, "request_url": url}
    assert found["settings"]["event_subscriptions"] == {"request_url": url, "bot_events": ["app_home_opened"]}
    assert found["features"]["app_home"]["home_tab_enabled"] is True
    assert found["settings"]["socket_mode_enabled"] is False
    assert found["oauth_config"]["scopes"] == {
        "bot": list(SCOPES),
        "bot_optional": ["files:write", "channels:read", "groups:read"],
    }
    assert len(found["display_information"]["name"]) <= 35
    assert len(command["usage_hint"]) <= 1000


def test_the_manifest_for_socket_mode_has_no_address() -> None:
    result = RUN.invoke(make(), ["manifest", "slack", "--socket"])
    assert result.exit_code == 0
    assert "url" not in result.stdout
    assert yaml.safe_load(result.stdout)["settings"]["socket_mode_enabled"] is True


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("", "--url is missing"),
        ("http://gate.example.com", "must be an https address"),
        ("gate.example.com", "must be an https address"),
        ("https://gate.example.com/slack/events", "must be the bare address"),
        ("https://gate.example.com:x", "Port could not be cast"),
        ("https://[gate", "Invalid IPv6"),
    ],
)
def test_a_wrong_address_is_a_usage_error(url: str, text: str) -> None:
    result = RUN.invoke(make(), ["manifest", "slack", "--url", url])
    assert result.exit_code == 2
    assert text in result.stderr
    assert result.stdout == ""


APP_ID = "11111111-2222-4333-8444-555555555555"
TEAMS = ["manifest", "teams", "--url", "https://gate.example.com"]


def test_the_manifest_of_teams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lengths: the manifest's schema, version 1.22. The app id comes from the option or from TEAMS_APP_ID."""
    monkeypatch.delenv("TEAMS_APP_ID", raising=False)
    printed = RUN.invoke(make(), [*TEAMS, "--app-id", APP_ID])
    assert printed.exit_code == 0
    assert RUN.invoke(make(), TEAMS, env={"TEAMS_APP_ID": APP_ID}).stdout == printed.stdout
    found = json.loads(printed.stdout)
    assert found["$schema"].endswith(f"/v{found['manifestVersion']}/MicrosoftTeams.schema.json")
    assert found["id"] != APP_ID
    assert len(found["name"]["short"]) <= 30
    assert len(found["name"]["full"]) <= 100
    assert len(found["description"]["short"]) <= 80
    assert len(found["description"]["full"]) <= 4000
    (bot,) = found["bots"]
    assert (bot["botId"], bot["scopes"]) == (APP_ID, ["team", "personal", "groupChat"])
    (commands,) = bot["commandLists"]
    assert len(commands["commands"]) <= 10
    assert all(len(each["title"]) <= 32 and len(each["description"]) <= 128 for each in commands["commands"])
    assert set(TEAMS_COMMANDS) == {*HELP, "policy", "sessions", "status"} - {"whoami"}


def test_the_package_holds_manifest_and_icons(tmp_path: Path) -> None:
    package = tmp_path / "hoop.zip"
    result = RUN.invoke(make(), [*TEAMS, "--app-id", APP_ID, "--package", str(package)])
    assert (result.exit_code, result.stdout) == (0, "")
    with zipfile.ZipFile(package) as found:
        assert sorted(found.namelist()) == ["color.png", "manifest.json", "outline.png"]
        assert json.loads(found.read("manifest.json"))["bots"][0]["botId"] == APP_ID
        for name, size in (("color.png", 192), ("outline.png", 32)):
            assert struct.unpack(">II", found.read(name)[16:24]) == (size, size)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--url", "https://gate.example.com"], "--app-id is missing"),
        (["--url", "https://gate.example.com", "--app-id", "5"], "is no application id"),
        (["--app-id", APP_ID], "--url is missing: the gateway's public address, https://gate.example.com\n"),
        (["--url", "http://gate.example.com", "--app-id", APP_ID], "Teams calls no other"),
        (["--url", "https://gate.example.com/x", "--app-id", APP_ID], "the path /api/messages is added"),
        (["--url", "https://gate.example.com", "--app-id", APP_ID, "--package", "/nowhere/x.zip"], "can't be written"),
    ],
)
def test_what_is_wrong_with_a_teams_manifest_is_a_usage_error(
    words: list[str], text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEAMS_APP_ID", raising=False)
    result = RUN.invoke(make(), ["manifest", "teams", *words])
    assert result.exit_code == 2
    assert text in result.stderr
    assert result.stdout == ""
