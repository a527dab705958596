"""`hoop manifest slack`: what is printed is the manifest that Slack takes, for exactly what the app uses."""

import pytest
import yaml
from typer.testing import CliRunner

from bots.slack.app import PATH
from gateway.__main__ import make
from gateway.cli.manifest import SCOPES

RUN = CliRunner()


def test_the_manifest_over_http() -> None:
    result = RUN.invoke(make(), ["manifest", "slack", "--url", "https://gate.example.com"])
    assert result.exit_code == 0
    found = yaml.safe_load(result.stdout)
    url = f"https://gate.example.com{PATH}"
    (command,) = found["features"]["slash_commands"]
    assert (command["command"], command["url"]) == ("/hoop", url)
    assert found["settings"]["interactivity"] == {"is_enabled": True, "request_url": url}
    assert found["settings"]["socket_mode_enabled"] is False
    assert found["oauth_config"]["scopes"]["bot"] == list(SCOPES)
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
