"""A renewed certificate is served to who comes next; a pair that can't be used changes nothing."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.errors import GatewayError
from gateway.relay import certificate
from gateway.relay.certificate import Certificate
from tests.e2e.certificates import self_signed


class Served:
    """A TLS server with this certificate."""

    def __init__(self, certificate: Certificate, port: int) -> None:
        self.certificate = certificate
        self.port = port

    async def shows(self) -> str:
        """The certificate that a client is met with, PEM."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        _, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=context)
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        writer.close()
        return ssl.DER_cert_to_PEM_cert(shown)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    certificate = Certificate(*self_signed(tmp_path))
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=certificate.context)
    yield Served(certificate, server.sockets[0].getsockname()[1])
    server.close()
    await server.wait_closed()


async def test_the_next_one_is_met_with_the_renewed_one(served: Served, tmp_path: Path) -> None:
    old = (tmp_path / "cert.pem").read_text()
    assert await served.shows() == old
    assert not served.certificate.changed
    self_signed(tmp_path)
    assert served.certificate.changed
    assert await served.shows() == old, "until it is told"
    served.certificate.renew()
    assert not served.certificate.changed
    assert await served.shows() == (tmp_path / "cert.pem").read_text() != old


async def test_half_a_renewal_changes_nothing(served: Served, tmp_path: Path) -> None:
    old = (tmp_path / "cert.pem").read_text()
    key = (tmp_path / "key.pem").read_bytes()
    self_signed(tmp_path)
    new_key = (tmp_path / "key.pem").read_bytes()
    (tmp_path / "key.pem").write_bytes(key)
    with pytest.raises(GatewayError, match="key"):
        served.certificate.renew()
    assert await served.shows() == old
    (tmp_path / "key.pem").write_bytes(new_key)
    assert served.certificate.changed
    served.certificate.renew()
    assert await served.shows() != old


async def test_files_that_are_gone_change_nothing(served: Served, tmp_path: Path) -> None:
    old = (tmp_path / "cert.pem").read_text()
    (tmp_path / "cert.pem").unlink()
    assert served.certificate.changed
    with pytest.raises(GatewayError):
        served.certificate.renew()
    assert await served.shows() == old


async def test_files_that_go_between_the_two_looks_are_told_as_any_others(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks for renewals goes on looking."""

    real = certificate._context

    def going(*files: Path) -> ssl.SSLContext:
        made = real(*files)
        files[0].unlink()
        return made

    old = (tmp_path / "cert.pem").read_text()
    self_signed(tmp_path)
    monkeypatch.setattr("gateway.relay.certificate._context", going)
    with pytest.raises(GatewayError):
        served.certificate.renew()
    assert await served.shows() == old
    assert served.certificate.changed


def test_what_links_point_to_counts(tmp_path: Path) -> None:
    """As a mounted secret of Kubernetes: links stay, what they point to is another."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        self_signed(tmp_path / folder)
    current = tmp_path / "current"
    current.symlink_to(tmp_path / "one")
    certificate = Certificate(current / "cert.pem", current / "key.pem")
    current.unlink()
    current.symlink_to(tmp_path / "two")
    assert certificate.changed
