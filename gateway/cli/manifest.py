"""`hoop manifest slack/teams --url U`: the app manifest to upload, for Teams also as the package with its icons.

What lives here: the scopes, commands and addresses that the gateway really uses, and nothing it might use one day. It asks
for no history: the gateway reads no messages but those that are written to it.
"""

import io
import json
import os
import re
import uuid
import zipfile
from importlib.resources import files
from pathlib import Path
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

#: The same of what works without: installations that lack it only lack that.
OPTIONAL = {
    "files:write": "hand over an audit export in a direct message",
    "channels:read": "see whether an approval channel is archived, or shared with another organisation",
    "groups:read": "the same of private channels",
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


@app.command("teams")
def teams(
    url: Annotated[str, typer.Option(help="The gateway's public address, https://gate.example.com")] = "",
    app_id: Annotated[str, typer.Option(help="The bot's app id; default TEAMS_APP_ID.")] = "",
    package: Annotated[Path | None, typer.Option(help="Write the app package (a zip to upload) to this file.")] = None,
) -> None:
    """Print the manifest of the Teams app as JSON, or write the whole app package."""
    bot = app_id or os.environ.get("TEAMS_APP_ID", "")
    if problem := problem_of(url, "Teams", "/api/messages") or _problem_of_id(bot):
        typer.echo(f"hoop: {problem}", err=True)
        raise typer.Exit(2)
    text = json.dumps(teams_manifest(url, bot), indent=2, ensure_ascii=False)
    if package is None:
        typer.echo(text)
        return
    try:
        package.write_bytes(_package(text))
    except OSError as error:
        typer.echo(f"hoop: {package} can't be written: {error.strerror}", err=True)
        raise typer.Exit(2) from error


def problem_of(url: str, chat: str = "Slack", path: str = "/slack/events") -> str:
    """What is wrong with a public address, or "". Chats call https only, and the path is ours."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError as error:
        return f"--url {url}: {error}"
    if not url:
        socket = " (or --socket for Socket Mode)" if chat == "Slack" else ""
        return f"--url is missing: the gateway's public address, https://gate.example.com{socket}"
    if parts.scheme != "https" or not host:
        return f"--url {url} must be an https address: {chat} calls no other"
    if parts.username or parts.query or parts.fragment or parts.path not in {"", "/"}:
        return f"--url {url} must be the bare address, https://{host}: the path {path} is added"
    return ""


def _problem_of_id(app_id: str) -> str:
    if not app_id:
        return (
            "--app-id is missing: the application (client) id of the bot's registration in Entra ID (or TEAMS_APP_ID)"
        )
    if not re.fullmatch(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", app_id):
        return f"--app-id {app_id} is no application id like 11111111-2222-3333-4444-555555555555"
    return ""


#: command -> what it does; Teams offers ten at most while a person writes to the bot. Titles up to 32, descriptions up to 128.
TEAMS_COMMANDS = {
    "pending": "Requests that wait for a decision",
    "show": "show ID: one request and what happened to it",
    "approve": "approve ID: as the button does",
    "deny": "deny ID REASON: as the button does",
    "withdraw": "withdraw ID: take back a request of your own",
    "audit": "audit [filters]: the record of statements, such as audit table:customers last:7d",
    "policy": "policy explain SQL [on TARGET]: what the policy would answer to you",
    "sessions": "Who is connected now",
    "status": "Is the gateway well, and what waits?",
    "help": "All commands",
}


def teams_manifest(url: str, app_id: str) -> dict[str, Any]:
    """The Teams app manifest, version 1.22. The app's own id is made of the bot's, so that a new package updates the app."""
    address = url.rstrip("/")
    return {
        "$schema": "https://developer.microsoft.com/json-schemas/teams/v1.22/MicrosoftTeams.schema.json",
        "manifestVersion": "1.22",
        "version": "1.0.0",
        "id": str(uuid.uuid5(uuid.UUID(app_id), "hoop gate")),
        "developer": {"name": "Hoop Gate", "websiteUrl": address, "privacyUrl": address, "termsOfUseUrl": address},
        "name": {"short": "Hoop Gate", "full": "Hoop Gate - approvals of database statements"},
        "description": {
            "short": "Approve, deny and audit database statements",
            "full": "Destructive SQL is held by the gateway until a reviewer decides in Teams. Every decision is recorded.",
        },
        "icons": {"color": "color.png", "outline": "outline.png"},
        "accentColor": "#1F2A44",
        "bots": [
            {
                "botId": app_id,
                "scopes": ["team", "personal", "groupChat"],
                "supportsFiles": False,
                "isNotificationOnly": False,
                "commandLists": [
                    {
                        "scopes": ["team", "personal", "groupChat"],
                        "commands": [{"title": name, "description": does} for name, does in TEAMS_COMMANDS.items()],
                    }
                ],
            }
        ],
        "validDomains": [],
        "defaultInstallScope": "team",
    }


def _package(manifest: str) -> bytes:
    """The zip that the Teams admin center takes: the manifest and the two icons."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("manifest.json", manifest)
        for name in ("color.png", "outline.png"):
            package.writestr(name, files("bots.teams").joinpath("static", name).read_bytes())
    return out.getvalue()


def slack_manifest(url: str | None) -> dict[str, Any]:
    """The manifest; `url` None switches Socket Mode on and leaves all addresses out."""
    events = None if url is None else url.rstrip("/") + "/slack/events"
    address = {"request_url": events} if events else {}
    command = {
        "command": "/hoop",
        **({"url": events} if events else {}),
        "description": "Approve, deny and audit database statements",
        "usage_hint": "audit [filters] | pending | show ID | approve ID | deny ID REASON | withdraw ID | lift ID | policy explain SQL | sessions | grants | revoke ID | link | status | help",
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
            "app_home": {
                "home_tab_enabled": True,
                "messages_tab_enabled": True,
                "messages_tab_read_only_enabled": True,
            },
            "bot_user": {"display_name": "hoop", "always_online": True},
            "slash_commands": [command],
        },
        "oauth_config": {"scopes": {"bot": list(SCOPES), "bot_optional": list(OPTIONAL)}},
        "settings": {
            "interactivity": {"is_enabled": True, **address},
            "event_subscriptions": {**address, "bot_events": ["app_home_opened"]},
            "org_deploy_enabled": False,
            "socket_mode_enabled": events is None,
            "token_rotation_enabled": False,
        },
    }
