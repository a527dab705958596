"""A second gateway on the stack's target and store, whose policies file is the test's own; clicks go to the stack's, as to another replica.

    async with open_office(stack, tmp_path, ("old text", "new text")) as office:
        await office.wire.ask(query("SELECT 1"))

What must not live here: what a policy should do.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.app import Gateway
from gateway.policies import read_policy
from gateway.settings import Address
from tests.e2e.stack import Stack
from tests.e2e.wire import Wire


@dataclass
class Office:
    """The gateway, and a client of it that has logged in as Ann."""

    stack: Stack
    gateway: Gateway
    wire: Wire

    def write(self, *changes: tuple[str, str]) -> None:
        """Change the policies file: old text -> new."""
        _change(self.gateway.settings.policies, *changes)

    async def hup(self) -> bool:
        """What SIGHUP does."""

        async def reload() -> bool:
            return self.gateway.reload()

        return await self.stack.on(reload())


@asynccontextmanager
async def open_office(stack: Stack, directory: Path, *changes: tuple[str, str]) -> AsyncIterator[Office]:
    """Start with the stack's policy and these changes; stop at the end."""
    demo = stack.demo
    policies = directory / "policies.yaml"
    policies.write_text(demo.gateway.settings.policies.read_text("utf-8"), "utf-8")
    _change(policies, *changes)
    here = Address(stack.host, 0)
    settings = replace(demo.gateway.settings, listen=here, http=here, policies=policies)
    gateway = Gateway(settings, read_policy(policies), demo._directory, demo.limits)
    await stack.on(gateway.start())
    wire = await Wire.connect(gateway.ports.wire, stack.token("ann"))
    yield Office(stack, gateway, wire)
    await wire.close()
    await stack.on(gateway.stop())


def _change(path: Path, *changes: tuple[str, str]) -> None:
    text = path.read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, "utf-8")
