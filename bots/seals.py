"""The seal on a button: it binds a click to the content that was shown (chat.md, decision 5). Pure.

What lives here: making and checking `rid.rev.mac`. What does not: what the click decides (gateway.approvals.desk), and who
clicked (each front).
"""

import hashlib
import hmac
import json

from gateway.approvals.request import ApprovalRequest


def seal(key: bytes, request: ApprovalRequest) -> str:
    """A button's value, `rid.rev.mac`: the mac binds a click to the content that was shown (chat.md, decision 5)."""
    return f"{request.id}.{request.rev}.{_mac(key, request, request.rev)}"


def unsealed(value: str) -> tuple[str, int, str] | None:
    """The three parts of a button's value, or None if it isn't one. Nothing is proven yet: see `genuine`."""
    parts = value.rsplit(".", 2)
    if len(parts) != 3 or not parts[0] or not (parts[1].isascii() and parts[1].isdigit() and len(parts[1]) < 10):
        return None
    return parts[0], int(parts[1]), parts[2]


def genuine(key: bytes, request: ApprovalRequest, rev: int, mac: str) -> bool:
    """True if `mac` was made by us for this request's present content at `rev`."""
    return hmac.compare_digest(_mac(key, request, rev).encode(), mac.encode("utf-8", "surrogatepass"))


def _mac(key: bytes, request: ApprovalRequest, rev: int) -> str:
    said = json.dumps([request.id, rev, request.content_digest]).encode()
    return hmac.new(key, said, hashlib.sha256).hexdigest()[:32]
