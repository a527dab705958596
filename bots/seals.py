"""The seal on a button: it binds a click to the content that was shown (chat.md, decision 5). Pure.

What lives here: making and checking `rid.rev.mac`. What does not: what the click decides (gateway.approvals.decisions), and who
clicked (each front).
"""

import hashlib
import hmac
import json

from gateway.approvals.request import ApprovalRequest, Person


def seal(key: bytes, request: ApprovalRequest, reader: Person | None = None) -> str:
    """A button's value, `rid.rev.mac`: the mac binds a click to the content that was shown (chat.md, decision 5).

    `reader`: this button is for them alone, and stands below what they had to read.
    """
    return f"{request.id}.{request.rev}.{_mac(key, request, request.rev, reader)}"


def unsealed(value: str) -> tuple[str, int, str] | None:
    """The three parts of a button's value, or None if it isn't one. Nothing is proven yet: see `genuine`."""
    parts = value.rsplit(".", 2)
    if len(parts) != 3 or not parts[0] or not (parts[1].isascii() and parts[1].isdigit() and len(parts[1]) < 10):
        return None
    return parts[0], int(parts[1]), parts[2]


def genuine(key: bytes, request: ApprovalRequest, rev: int, mac: str, reader: Person | None = None) -> bool:
    """True if `mac` was made by us for this request's present content at `rev`, and for this reader."""
    return hmac.compare_digest(_mac(key, request, rev, reader).encode(), mac.encode("utf-8", "surrogatepass"))


def _mac(key: bytes, request: ApprovalRequest, rev: int, reader: Person | None) -> str:
    theirs = [] if reader is None else [reader.issuer, reader.subject, reader.user]
    said = json.dumps([request.id, rev, request.content_digest, *theirs]).encode()
    return hmac.new(key, said, hashlib.sha256).hexdigest()[:32]
