"""An issuer's documents: what is fetched from where, and what is not believed. Faults seen by who logs in: test_issuers.py."""

from collections.abc import AsyncIterator

import pytest

from gateway.demo.issuer import DemoIssuer, Fault
from gateway.identity import documents as subject
from gateway.identity.documents import Documents, IssuerError, is_loopback


@pytest.fixture
async def issuer() -> AsyncIterator[DemoIssuer]:
    running = await DemoIssuer.start()
    yield running
    await running.close()


@pytest.fixture
async def documents() -> AsyncIterator[Documents]:
    made = Documents(insecure_loopback=True)
    yield made
    await made.close()


async def test_an_endpoint_is_what_discovery_says(issuer: DemoIssuer, documents: Documents) -> None:
    assert await documents.endpoint(issuer.url, "jwks_uri") == f"{issuer.url}/jwks"
    with pytest.raises(IssuerError, match="has no teapot_endpoint"):
        await documents.endpoint(issuer.url, "teapot_endpoint")


async def test_an_issuer_is_its_name_to_the_letter(issuer: DemoIssuer, documents: Documents) -> None:
    """`https://issuer` and `https://issuer/` are two issuers (OpenID Connect Discovery 1.0, 4.3)."""
    with pytest.raises(IssuerError, match="names another issuer"):
        await documents.discover(issuer.url + "/")


async def test_a_body_is_measured_as_it_unpacks(
    issuer: DemoIssuer, documents: Documents, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(str(await documents.discover(issuer.url)))
    monkeypatch.setattr(subject, "MAX_DOCUMENT", size // 2)
    with pytest.raises(IssuerError, match=f"larger than {size // 2} bytes"):
        await documents.discover(issuer.url)


async def test_it_can_be_asked_again_after_a_failure_and_after_closing(
    issuer: DemoIssuer, documents: Documents
) -> None:
    issuer.fault = Fault.STATUS_500
    with pytest.raises(IssuerError, match="HTTP status 500"):
        await documents.fetch(f"{issuer.url}/jwks")
    issuer.fault = Fault.NONE
    assert "keys" in await documents.fetch(f"{issuer.url}/jwks")
    await documents.close()
    assert "keys" in await documents.fetch(f"{issuer.url}/jwks")


async def test_nobody_there_is_told_without_internals(documents: Documents) -> None:
    with pytest.raises(IssuerError, match=r"^http://127.0.0.1:1/x: Client\w+Error$"):
        await documents.fetch("http://127.0.0.1:1/x")


@pytest.mark.parametrize(
    ("url", "on_loopback", "anywhere"),
    [
        ("https://issuer.example.com/x", True, True),
        ("http://127.0.0.1:8080/x", True, False),
        ("http://localhost/x", True, False),
        ("http://localhost.example.com/x", False, False),
        ("http://10.0.0.1/x", False, False),
        ("ftp://127.0.0.1/x", False, False),
        ("https:///x", False, False),
        ("http://[::1", False, False),
    ],
)
def test_plain_http_is_for_loopback_alone(url: str, on_loopback: bool, anywhere: bool) -> None:
    for insecure, allowed in ((True, on_loopback), (False, anywhere)):
        if allowed:
            Documents(insecure_loopback=insecure).check(url)
        else:
            with pytest.raises(IssuerError):
                Documents(insecure_loopback=insecure).check(url)


@pytest.mark.parametrize(
    ("host", "expected"), [("::1", True), ("127.9.9.9", True), ("0.0.0.0", False), ("local", False)]
)
def test_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
