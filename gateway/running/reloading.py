"""What is read again while the gateway runs: its policies file and its certificate. What can't be used is refused, the
old one stays.

What must not live here: who is told of a new policy (gateway.app), what a policy is (gateway.policy).
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import structlog

from gateway.errors import GatewayError, PolicyError
from gateway.policies import read_policy
from gateway.policy.model import Policy
from gateway.policy.needs import missing
from gateway.relay.certificate import Certificate
from gateway.settings import Web

LOOK_EVERY = 2.0

log = structlog.get_logger()


class Reloading:
    """Made when the file is read first: whatever becomes of the file from then on is a change."""

    def __init__(self, policies: Path) -> None:
        self._policies = policies
        self._seen = _stamp(policies)
        self._certificate: tuple[Certificate, Path] | None = None

    def follow(self, certificate: Certificate, file: Path) -> None:
        """Renew this one, too, when its files change; `file` is how it is called in the log."""
        self._certificate = certificate, file

    def again(self, current: Policy, web: Web | None) -> Policy | None:
        """Read the policies file, and the certificate if it was renewed. Returns `current` itself where it says the
        same; None for one that can't be used, as the log says. `web` is where reviewers could sign in."""
        self._renew_certificate()
        self._seen = _stamp(self._policies)
        try:
            policy = read_policy(self._policies)
        except PolicyError as error:
            problems = error.problems
        else:
            problems = missing(policy, web)
        if problems:
            log.error("policy.refused", problems=problems)
            return None
        if policy.version == current.version:
            log.info("policy.unchanged", file=str(self._policies), version=policy.version)
            return current
        return policy

    async def watch(self, reload: Callable[[], object]) -> None:
        """Call `reload` when the policies file has changed; never returns."""
        while True:
            await asyncio.sleep(LOOK_EVERY)
            self._renew_certificate()
            if _stamp(self._policies) != self._seen:
                reload()

    def _renew_certificate(self) -> None:
        if self._certificate is None or not self._certificate[0].changed:
            return
        certificate, file = self._certificate
        try:
            certificate.renew()
        except GatewayError as error:
            log.error("certificate.refused", error=error.message, hint=error.hint)
        else:
            log.info("certificate.renewed", file=str(file))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)
