"""What the detectors find of the generated samples: recall of each kind of secret, precision of each detector.

What lives here: sending every sample through the masking of result rows (as a text column of its own row, so that the loose
look over raw bytes is measured, too), and counting. What must not: floors (test_generated.py), samples (generated.py).
"""

import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.masking.columns import ColumnPlan, MaskPlan
from gateway.masking.detectors import Detectors
from gateway.masking.rows import RowMasker
from gateway.masking.rules import NAMES
from tests.masking.generated import Sample
from tests.masking.personal_forms import SEPARATORS

#: Kind of a sample -> the detector that answers for it; all others are api_key's.
DETECTOR = {name: name for name in ("card", "iban", "ssn", "phone", "email", "jwt")} | {"private key": "private_key"}
#: Hits by these count as one: a connection string is a key (Detectors.build).
SAME = {"password": "api_key"}

_ALL = Detectors.build(NAMES, {})
_PLAN = MaskPlan((ColumnPlan("scan", type_oid=25, format=0, name="value"),))
_LEFT = 6  # so many characters of a secret in a row are too many; of a card the last four may stay


@dataclass(slots=True)
class Figures:
    """Counts: `asked` and `found` by kind, `false` by detector (values without a secret that it changed)."""

    asked: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    false: Counter[str] = field(default_factory=Counter)
    missed: list[tuple[Sample, str]] = field(default_factory=list)
    mistaken: list[tuple[Sample, str]] = field(default_factory=list)

    def recall(self, kind: str) -> float:
        return self.found[kind] / self.asked[kind]

    def precision(self, detector: str) -> float:
        true = sum(n for kind, n in self.found.items() if DETECTOR.get(kind, "api_key") == detector)
        return true / (true + self.false[detector])

    def table(self) -> str:
        """For people: a line each kind, then a line each detector."""
        lines = [f"{'secret':<20} {'asked':>6} {'found':>6} {'recall':>7}"]
        lines += [f"{k:<20} {n:>6} {self.found[k]:>6} {self.recall(k):>7.3f}" for k, n in self.asked.items()]
        lines += ["", f"{'detector':<20} {'false':>6} {'precision':>10}"]
        lines += [f"{d:<20} {self.false[d]:>6} {self.precision(d):>10.3f}" for d in NAMES]
        return "\n".join(lines)


def measure(samples: Iterable[Sample]) -> Figures:
    """Mask each sample as a row of its own and count."""
    figures = Figures()
    for sample in samples:
        out, names = masked(sample.text)
        if sample.kind is None:
            figures.false.update({SAME.get(name, name) for name in names})
            figures.mistaken += [(sample, out)] if names else []
            continue
        figures.asked[sample.kind] += 1
        if shows(sample, out):
            figures.missed.append((sample, out))
        else:
            figures.found[sample.kind] += 1
    return figures


def masked(text: str) -> tuple[str, frozenset[str]]:
    """What a client gets for a text value, and the detectors that had a hand in it."""
    value = text.encode()
    masker = RowMasker(_PLAN, _ALL, b"k" * 32)
    row = masker.rows(struct.pack("!cihi", b"D", 10 + len(value), 1, len(value)) + value)
    return row[11:].decode(), frozenset(name for _, name in masker.counts)


def shows(sample: Sample, out: str) -> bool:
    """Whether a part of the secret is left in `out` that stood nowhere else in the text."""
    secret, rest = sample.secret, sample.text.replace(sample.secret, "\0")
    if sample.kind == "card":
        secret, rest, out = _digits(secret), _digits(rest), _digits(out)
    size = min(_LEFT, len(secret))
    parts = {secret[at : at + size] for at in range(len(secret) - size + 1)}
    return any(part in out and part not in rest for part in parts)


def _digits(text: str) -> str:
    """Its digits in ASCII without the separators between them; all else as a bar."""
    return "".join(str(int(each)) if each.isdecimal() else "|" for each in text if each not in SEPARATORS)
