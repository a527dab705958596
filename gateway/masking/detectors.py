"""Detectors: the compiled choice of a policy from the table in rules.py, plus the policy's own patterns.

What lives here: searching and replacing in a text or a value, and the loose look over raw wire bytes. What must not:
column names, wire formats, policy files.

All patterns are RE2 (linear time, no way to hang the gateway from a policies.yaml). The look over raw bytes is one
alternation of all `near` patterns, not re2.Set: measured as fast (570 MB/s), it tells where the hit is, and when its
memory is used up it falls back to the NFA, where a Set says "no match". A Set tells which rules to try on one value; when
it names none although the alternation hit, all are tried.

Where it is compiled, and all rules are ones that it knows, glance.py looks first; and where that says of a value that there can be
no more than cards, cards.py looks for those without RE2.

What is not found: secrets that are cut, reversed, encoded or written in words. Lineage (gateway.sql) is for those.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import re2

from gateway.masking import cards, glance
from gateway.masking.cards import Span
from gateway.masking.rules import NAMES, OWN_TEXTS, RULES, Find, whole

#: After a false hit longer than this the search goes on behind it: else a value made of false starts costs n * n.
_LONG_MISS = 512
#: To the interpreter a glance is dearer than RE2.
_GLANCES = not hasattr(glance.suspect, "__code__")
_MAX_MEM = 64 << 20  # bytes of RE2 programs and DFA caches a pattern; the default of 8 MiB is small for the alternation


class Hit:
    """A secret in a value: byte offsets, the placeholder, the detector's name."""

    def __init__(self, start: int, end: int, mask: str, name: str) -> None:
        self.start = start
        self.end = end
        self.mask = mask
        self.name = name


class _Compiled(NamedTuple):
    """A rule of the table or of the policy, ready to search with."""

    name: str
    find: Find
    regexp: Any
    run: bool = False


def compile_pattern(name: str, pattern: str) -> Any:
    """Compile an RE2 pattern. Raises ValueError that names the pattern and what RE2 said."""
    try:
        return re2.compile(pattern, _options(never_capture=False))
    except re2.error as error:
        said = error.args[0] if error.args else "no reason given"
        said = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        raise ValueError(f"pattern {name}: {said} (RE2 has no look-around and no back-references)") from None


def loosened(pattern: str) -> str | None:
    r"""The pattern without its edges (^ $ \b \B \A \z), so that it finds at least as much on raw bytes.

    None when that can't be told (\Q...\E): then every value is a candidate.
    """
    out, at, in_class = [], 0, False
    while at < len(pattern):
        char = pattern[at]
        width = 2 if char == "\\" else 1
        piece = pattern[at : at + width]
        if piece in (r"\Q", r"\E"):
            return None
        if in_class:
            in_class = char != "]"
        elif char == "[":
            width = len(_CLASS_HEAD.match(pattern[at:]).group())
            piece, in_class = pattern[at : at + width], True
        elif piece in ("^", "$", r"\b", r"\B", r"\A", r"\z"):
            piece = ""
        out.append(piece)
        at += width
    return "".join(out)


_CLASS_HEAD = re2.compile(r"\[\^?\]?")


class Detectors:
    """The rules of one policy, compiled. Never changed; safe to share between sessions.

    Build it with `build`; but for `names` and `patterns` the attributes are its own.
    """

    def __init__(self, names: tuple[str, ...], own: tuple[tuple[str, str], ...], *, glances: bool = _GLANCES) -> None:
        """As `build`. `glances`: look with glance.py before RE2, where it knows the rules."""
        patterns = dict(own)
        wanted = dict.fromkeys(names)
        known = (*NAMES, *OWN_TEXTS)
        for name in wanted:
            if name not in known:
                raise ValueError(f"detector {name} is not known; known are {', '.join(NAMES)}")
        if "api_key" in wanted:
            wanted["password"] = None
        chosen = [rule for rule in RULES if rule.name in wanted]
        rules = [_Compiled(r.name, r.find, compile_pattern(r.what, r.pattern), r.run) for r in chosen]
        rules += [_Compiled(name, whole(f"[{name}]"), compile_pattern(name, p)) for name, p in patterns.items()]
        nears = [rule.near or rule.pattern for rule in chosen] + [loosened(p) for p in patterns.values()]
        may, whats = glances and not patterns, [rule.what for rule in chosen]
        self.names: tuple[str, ...] = (*wanted, *patterns)
        self.patterns: Mapping[str, str] = patterns
        self._rules = rules
        self._near: Any = _alternation(
            nears
        )  # None: there is a pattern that can't be loosened, every value is a candidate
        self._which: Any = _set(nears)  # re2.Set of the same: which rules to try on a value; None likewise
        self._cards = "card" in wanted
        self.glances = may and glance.covers(whats)  # `suspect` may take glance.py's word for it
        # Likewise `suspicious`, where there is neither an apostrophe nor a dollar.
        self.glances_unquoted = may and glance.covers_unquoted(whats)

    @staticmethod
    def build(names: Iterable[str], patterns: Mapping[str, str]) -> "Detectors":
        """Compile the detectors `names` (of NAMES or OWN_TEXTS) and a policy's own RE2 `patterns` (name -> pattern).

        "api_key" brings "password" along: a connection string is a key. Raises ValueError for a name that isn't known
        or a pattern that RE2 refuses. The same arguments give the same object: compiling takes milliseconds, and every
        session asks for what its policy detects.
        """
        return _built(tuple(names), tuple(patterns.items()))

    def also(self, names: Iterable[str]) -> "Detectors":
        """The same detectors and `names` as well."""
        return Detectors.build((*(n for n in self.names if n not in self.patterns), *names), self.patterns)

    def first(self, data: bytes, start: int = 0, end: int | None = None) -> int:
        """Offset of the first candidate in data[start:end] (None: to its end), -1 when there is none. Loose, never misses."""
        end = len(data) if end is None else end
        if self._near is None:
            return start if start < end else -1
        found = self._near.search(data, start, end)
        return -1 if found is None or found.start() >= end else found.start()

    def suspect(self, data: bytes, start: int, end: int) -> int:
        """As `first`, but looser and quicker where there is a way: a byte of the first place that may be a candidate."""
        return glance.suspect(data, start, end) if self.glances else self.first(data, start, end)

    def suspicious(self, data: bytes) -> bool:
        """Whether raw wire bytes may hold a secret. Loose: True is a reason to look, False is final."""
        if self.glances_unquoted and b"'" not in data and b"$" not in data:
            return glance.suspect(data, 0, len(data)) >= 0
        return self.first(data) >= 0

    def hits(self, value: bytes) -> list[Hit]:
        """Find the secrets in one value (UTF-8 as far as it goes), in order, never overlapping."""
        if self.glances and glance.suspect(value, 0, len(value), cards=False) < 0:
            return [Hit(start, end, mask, "card") for start, end, mask in cards.spans(value)] if self._cards else []
        if self.first(value) < 0:
            return []
        tried = self._which.Match(value) if self._which else []  # none: its memory is used up
        rules = [self._rules[i] for i in tried or range(len(self._rules))]
        found = [Hit(*span, rule.name) for rule in rules for span in _spans(value, rule)]
        found.sort(key=lambda hit: (hit.start, -hit.end))
        return _apart(found)

    def clean(self, value: bytes) -> tuple[bytes, dict[str, int]]:
        """Replace each secret in a value; answers the very same object and {} when there is none."""
        hits = self.hits(value)
        if not hits:
            return value, {}
        out, at = [], 0
        for hit in hits:
            out += [value[at : hit.start], hit.mask.encode()]
            at = hit.end
        return b"".join((*out, value[at:])), _counted(hits)

    def scrub(self, text: str) -> tuple[str, dict[str, int]]:
        """Replace each secret in a text by its placeholder; answers the new text and the counts by detector."""
        raw = text.encode("utf-8", "surrogatepass")
        cleaned, counts = self.clean(raw)
        return (cleaned.decode("utf-8", "surrogatepass"), counts) if counts else (text, {})


@lru_cache(maxsize=32)
def _built(names: tuple[str, ...], own: tuple[tuple[str, str], ...]) -> Detectors:
    return Detectors(names, own)


def _alternation(nears: list[str | None]) -> Any:
    """One pattern for all, without captures. None when one of them can't be loosened or doesn't compile without edges."""
    if None in nears:
        return None
    try:
        return re2.compile("|".join(f"(?:{near})" for near in nears) or _NEVER, _options(never_capture=True))
    except re2.error:
        return None


def _set(nears: list[str | None]) -> Any:
    """The same patterns as a set: it answers the indices of those that match somewhere."""
    if None in nears or not nears:
        return None
    patterns = re2.Set.SearchSet(_options(never_capture=True))
    try:
        for near in nears:
            patterns.Add(near)
        patterns.Compile()
    except re2.error:
        return None
    return patterns


_NEVER = r"[^\x00-\x{10FFFF}]"


def _options(*, never_capture: bool) -> Any:
    options = re2.Options()
    options.log_errors, options.never_capture, options.max_mem = False, never_capture, _MAX_MEM
    return options


def _spans(value: bytes, rule: _Compiled) -> Iterator[Span]:
    """All spans of one rule. After a false hit the search goes on one byte later: a true one may start inside it."""
    at = 0
    while at < len(value) and (found := rule.regexp.search(value, at)) is not None:
        start, end = found.start(), found.end()
        spans = rule.find(value, found)
        yield from (span for span in spans if span[1] > span[0])
        again = not spans and not rule.run and end - start <= _LONG_MISS
        at = start + 1 if again or end == start else end


def _counted(hits: list[Hit]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for hit in hits:
        counts[hit.name] = counts.get(hit.name, 0) + 1
    return counts


def _apart(hits: list[Hit]) -> list[Hit]:
    """Join overlapping hits (sorted by start): the first keeps its name and placeholder and reaches as far as the last."""
    out: list[Hit] = []
    for hit in hits:
        if out and hit.start < out[-1].end:
            first = out[-1]
            out[-1] = Hit(first.start, max(first.end, hit.end), first.mask, first.name)
        else:
            out.append(hit)
    return out
