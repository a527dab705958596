"""Texts with a secret in them, and texts that only look so: made from a seed, by public formats alone.

What lives here: Sample, samples(seed), and nothing that knows how the gateway detects anything; the forms of secrets are in
secret_forms.py, what looks like them in lookalikes.py. All three were written from the issuers' own descriptions of their formats,
before reading the detectors, so that what the detectors miss shows. No secret is in the source: each is put together
at run time from a prefix (split, so that no scanner of sources stumbles) and characters drawn from the seed.
"""

import random
from dataclasses import dataclass

from tests.masking import lookalikes, secret_forms

SEED = 20240601


@dataclass(frozen=True, slots=True)
class Sample:
    """A whole cell or log line. `kind` and `secret` (the exact part of the text) are None and "" where there is nothing to hide."""

    text: str
    kind: str | None
    secret: str
    note: str


def samples(seed: int = SEED) -> list[Sample]:
    """All samples of a seed: the same list for the same seed."""
    rng = random.Random(seed)
    made = [_secret(rng, form) for form in secret_forms.FORMS for _ in range(form.count)]
    made += [Sample(look.make(rng), None, "", look.note) for look in lookalikes.LOOKALIKES for _ in range(look.count)]
    return made


def _secret(rng: random.Random, form: secret_forms.Form) -> Sample:
    text, secret = form.make(rng)
    if secret not in text:
        raise AssertionError(f"{form.kind}, {form.note}: the secret is not in its text")
    return Sample(text, form.kind, secret, form.note)


if __name__ == "__main__":
    from tests.masking.figures import measure

    print(measure(samples()).table())  # for people
