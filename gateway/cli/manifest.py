"""`hoop manifest slack --url U`: the app manifest to upload at api.slack.com/apps (From an app manifest).

What lives here: the scopes and URLs that the gateway really uses, and nothing it might use one day. It asks for no
history scope: the gateway reads no messages.
"""

from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
import yaml

#: bot scope -> what it is for (chat.md, 1.4).
SCOPES = {
    "commands": "/hoop",
    "chat:write": "post and update cards",
    "users:read": "who clicked",
    "users:read.email": "their verified e-mail address, which names the identity",
}


app = typer.Typer(help="Print the app manifest to upload to a chat platform.", no_args_is_help=True)


@app.callback()
def _one_a_chat() -> None:
    """Print the app manifest to upload to a chat platform."""


@app.command("slack")
def slack(
    url: Annotated[str, typer.Option(help="The gateway's public address, https://gate.example.com")] = "",
    socket: Annotated[bool, typer.Option("--socket", help="Socket Mode: no public address is needed.")] = False,
) -> None:
    """Print the manifest of the Slack app as YAML."""
    if not socket and (problem := problem_of(url)):
        typer.echo(f"hoop: {problem}", err=True)
        raise typer.Exit(2)
    typer.echo(yaml.safe_dump(slack_manifest(None if socket else url), sort_keys=False, allow_unicode=True), nl=False)


def problem_of(url: str) -> str:
    """What is wrong with a public address, or "". Slack calls https only, and its path is ours."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError as error:
        return f"--url {url}: {error}"
    if not url:
        return "--url is missing: the gateway's public address, https://gate.example.com (or --socket for Socket Mode)"
    if parts.scheme != "https" or not host:
        return f"--url {url} must be an https address: Slack calls no other"
    if parts.username or parts.query or parts.fragment or parts.path not in {"", "/"}:
        return f"--url {url} must be the bare address, https://{host}: the path /slack/events is added"
    return ""


def slack_manifest(url: str | None) -> dict[str, Any]:
    """The manifest; `url` None switches Socket Mode on and leaves all addresses out."""
    events = None if url is None else url.rstrip("/") + "/slack/events"
    command = {
        "command": "/hoop",
        **({"url": events} if events else {}),
        "description": "Approve, deny and audit database statements",
        "usage_hint": "audit [filters] | pending | show ID | approve ID | deny ID REASON | help",
        "should_escape": False,
    }
    return {
        "_metadata": {"major_version": 1, "minor_version": 1},
        "display_information": {
            "name": "Hoop Gate",
            "description": "Approve, deny and audit database statements",
            "background_color": "#1f2a44",
        },
        "features": {
            "bot_user": {"display_name": "hoop", "always_online": True},
            "slash_commands": [command],
        },
        "oauth_config": {"scopes": {"bot": list(SCOPES)}},
        "settings": {
            "interactivity": {"is_enabled": True, **({"request_url": events} if events else {})},
            "org_deploy_enabled": False,
            "socket_mode_enabled": events is None,
            "token_rotation_enabled": False,
        },
    }
