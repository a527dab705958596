"""Gateways for the tests of one that runs: from a policies file in a folder, on a store, with Slack or without."""

from dataclasses import replace
from pathlib import Path

from bots.workspace import Workspace
from gateway.app import Gateway
from gateway.policies import read_policy
from gateway.settings import Address, Settings, Slack
from tests.playbook import POLICY


def policies_in(folder: Path) -> Path:
    path = folder / "policies.yaml"
    path.write_text(POLICY)
    return path


def gateway(file: Path, store: str) -> Gateway:
    settings = Settings(
        store,
        b"a" * 32,
        b"s" * 32,
        Address("127.0.0.1", 0),
        Address("127.0.0.1", 0),
        policies=file,
        insecure_loopback=True,
        spool=file.parent / "spool",
    )
    return Gateway(settings, read_policy(file))


def with_slack(file: Path, store: str, workspace: Workspace, *shared: str) -> Gateway:
    made = gateway(file, store)
    slack = Slack(workspace.bot_token, "sign", "", workspace.api_url, frozenset(shared))
    made.settings = replace(made.settings, slack=slack)
    return made
