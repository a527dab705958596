"""Signed places in an audit query's answer: the value of a button that leads to another page. Pure."""

import base64
import binascii
import hashlib
import hmac
import json
from typing import Final

#: The offset that stands for the whole answer as a file.
EXPORT: Final = -1


def cursor(key: bytes, query: str, offset: int) -> str:
    """A page as signed text. It grants nothing: whoever uses it sees what they may see."""
    payload = base64.urlsafe_b64encode(json.dumps([query, offset]).encode()).decode()
    return f"{payload}.{_mac(key, payload)}"


def opened(key: bytes, text: str) -> tuple[str, int] | None:
    """The query and the offset of a cursor; None for one that is not ours."""
    payload, _, mac = text.rpartition(".")
    if not hmac.compare_digest(_mac(key, payload).encode(), mac.encode("utf-8", "surrogatepass")):
        return None
    try:
        query, offset = json.loads(base64.urlsafe_b64decode(payload))
    except (ValueError, binascii.Error):
        return None
    return str(query), int(offset)


def _mac(key: bytes, payload: str) -> str:
    said = b"cursor:" + payload.encode("utf-8", "surrogatepass")
    return hmac.new(key, said, hashlib.sha256).hexdigest()[:32]
