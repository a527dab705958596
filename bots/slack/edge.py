"""Is this HTTP request from Slack, fresh, new and readable? Decided on raw bytes before slack_bolt sees anything.

What lives here: the signature (Slack, Verifying requests), the replay cache, the shape of a body. What does not: what a
request means. bolt answers 500 with a traceback to a timestamp that is no number, a signature that is not ASCII, bytes
that are not UTF-8 and a payload that is not JSON; here each gets its 400 or 401, and no body ever reaches a log.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

#: Slack's own tolerance, both ways.
MAX_SKEW = 300
#: How long a signature is remembered: twice the time for which it could be accepted.
REPLAY_SECONDS = 2 * MAX_SKEW
#: A cap on the cache; signatures get in only when they are genuine, so this is over 160 requests a second.
_MOST_SIGNATURES = 100_000


@dataclass(frozen=True, slots=True)
class Refused:
    """An HTTP status and one plain sentence."""

    status: int
    why: str


class Edge:
    """Checks requests against one signing secret; `clock` gives Unix seconds."""

    def __init__(self, signing_secret: str, clock: Callable[[], float]) -> None:
        self._secret = signing_secret.encode()
        self._clock = clock
        self._seen: dict[str, float] = {}

    def check(self, headers: Mapping[str, str], raw: bytes) -> str | Refused:
        """What bolt is to read, or why it is refused: the body as text, or the JSON of a form's `payload`.

        Decoding a form is dear (0.5 ms a click), so it is done here once and not again. A genuine signature is accepted once.
        """
        signature = headers.get("X-Slack-Signature", "")
        refusal = self._unsigned(headers.get("X-Slack-Request-Timestamp", ""), signature, raw)
        if refusal is not None:
            return refusal
        if not self._is_new(signature):
            return Refused(401, "this request was received before")
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            return Refused(400, "the body is not UTF-8")
        readable = _readable(text, headers.get("Content-Type", ""))
        return Refused(400, "the body can't be read") if readable is None else readable

    def _unsigned(self, timestamp: str, signature: str, raw: bytes) -> Refused | None:
        if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
            return Refused(401, "the timestamp is missing or is no number")
        if abs(self._clock() - int(timestamp)) > MAX_SKEW:
            return Refused(401, "the timestamp is too far from now")
        said = b"v0:" + timestamp.encode() + b":" + raw
        expected = "v0=" + hmac.new(self._secret, said, hashlib.sha256).hexdigest()
        # aiohttp decodes header bytes with surrogateescape; both sides as bytes, so that nothing can raise
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "surrogatepass")):
            return Refused(401, "the signature is missing or wrong")
        return None

    def _is_new(self, signature: str) -> bool:
        now = self._clock()
        while self._seen and (len(self._seen) >= _MOST_SIGNATURES or self._oldest() <= now - REPLAY_SECONDS):
            self._seen.pop(next(iter(self._seen)))
        if signature in self._seen:
            return False
        self._seen[signature] = now
        return True

    def _oldest(self) -> float:
        return next(iter(self._seen.values()))


def _readable(text: str, content_type: str) -> str | None:
    """What bolt can take: a JSON object, or a form, of which a `payload` is one. None: neither."""
    if content_type.partition(";")[0].strip().lower() == "application/json" or text.lstrip().startswith("{"):
        return text if _is_object(text) else None
    try:
        payloads = parse_qs(text, keep_blank_values=True).get("payload")
    except ValueError:  # too many fields
        return None
    if payloads is None:
        return text
    return payloads[-1].strip() if all(map(_is_object, payloads)) else None


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
