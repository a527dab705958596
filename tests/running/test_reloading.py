"""What is read again while it runs: the certificate. The policy, and who is told of it: tests/test_app.py."""

from dataclasses import replace
from pathlib import Path

import structlog.testing

from tests.e2e.certificates import self_signed
from tests.running.gateways import gateway


async def test_a_renewed_certificate_is_taken_with_the_policy(file: Path, store_dsn: str) -> None:
    made = gateway(file, store_dsn)
    cert, key = self_signed(file.parent)
    made.settings = replace(made.settings, tls_cert=cert, tls_key=key)
    await made.start()
    try:
        with structlog.testing.capture_logs() as said:
            made.reload()
            self_signed(file.parent)
            made.reload()
            key.write_text("no key")
            made.reload()
        told = [each["event"] for each in said if each["event"].startswith("certificate.")]
        assert told == ["certificate.renewed", "certificate.refused"]
    finally:
        await made.stop()
