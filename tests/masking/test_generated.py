"""The detectors on generated secrets and look-alikes: recall of each kind, precision of each detector, as floors.

What lives here: the floors, and that the samples are what they say. `python -m tests.masking.generated` prints the table.
The floors of cards and keys are the project's promise; the others are what was reached, so that a change can't lose it unseen.
"""

from functools import lru_cache

import pytest

from gateway.masking.rules import NAMES
from tests.masking.figures import DETECTOR, Figures, measure, shows
from tests.masking.generated import SEED, Sample, samples
from tests.masking.secret_forms import FORMS

SEEDS = (SEED, SEED + 1)
KINDS = tuple(dict.fromkeys(form.kind for form in FORMS))
KEYS = tuple(kind for kind in KINDS if kind not in ("card", "iban", "ssn", "phone", "email"))

#: IBAN in small letters are left: the standard writes capitals, and every column of hashes would have to be looked at.
RECALL = dict.fromkeys(KEYS, 0.98) | {"card": 0.99, "iban": 0.91, "ssn": 0.99, "phone": 0.98, "email": 0.99}
PRECISION = dict.fromkeys(NAMES, 0.99)


@lru_cache
def figures(seed: int) -> Figures:
    return measure(samples(seed))


def test_there_are_as_many_look_alikes_as_secrets_and_thousands_of_both() -> None:
    kinds = [sample.kind for sample in samples()]
    assert len(kinds) >= 3000
    assert kinds.count(None) * 2 >= len(kinds)
    assert set(kinds) == {*KINDS, None}
    assert {DETECTOR.get(kind, "api_key") for kind in KINDS} == set(NAMES)


def test_a_seed_always_makes_the_same_samples() -> None:
    assert samples(SEED) == samples(SEED)
    assert samples(SEED) != samples(SEED + 1)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", KINDS)
def test_recall(kind: str, seed: int) -> None:
    found = figures(seed)
    assert found.recall(kind) >= RECALL[kind], [s.text for s, _ in found.missed if s.kind == kind]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("detector", NAMES)
def test_precision(detector: str, seed: int) -> None:
    found = figures(seed)
    assert found.precision(detector) >= PRECISION[detector], [s.text for s, _ in found.mistaken]


@pytest.mark.parametrize(
    ("secret", "out", "is_shown"),
    [
        ("4000 1234 5678 9010", "paid **** **** **** 9010 17", False),
        ("4000 1234 5678 9010", "paid 4000 12** **** 9010 17", True),
        ("4000 1234 5678 9010", "paid ４０００１２ 17", True),
    ],
)
def test_a_card_may_show_its_last_four_digits(secret: str, out: str, is_shown: bool) -> None:
    assert shows(Sample(f"paid {secret} 17", "card", secret, ""), out) == is_shown


def test_a_key_may_show_nothing_that_was_not_beside_it() -> None:
    sample = Sample("example.com ann@example.com", "email", "ann@example.com", "")
    assert not shows(sample, "example.com [email]")
    assert shows(sample, "example.com ann@ex***")
