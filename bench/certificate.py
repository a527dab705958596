"""A self-signed certificate for 127.0.0.1, good for an hour: TLS to the client, as the gateway is shipped."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.certificates import self_signed


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files: the certificate, its key, and both in one as haproxy wants them."""

    cert: Path
    key: Path
    both: Path

    @classmethod
    def write(cls, folder: Path) -> "Certificate":
        """Make one in `folder`. Others may read the key (pgbouncer runs as nobody): it vouches for nothing."""
        cert, key = self_signed(folder)
        both = folder / "both.pem"
        both.write_bytes(cert.read_bytes() + key.read_bytes())
        return cls(cert, key, both)


def trusting() -> ssl.SSLContext:
    """A client's side: TLS 1.3, nobody is checked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["postgresql"])
    return context
