"""IBAN: the check digits and the countries' lengths, on published examples (ISO 13616 registry)."""

import pytest

from gateway.masking import ibans


@pytest.mark.parametrize(
    "text", ["NO9386011117947", "DE89370400440532013000", "GB82WEST12345698765432", "MT84MALT011000012345MTLCAST001S"]
)
def test_published_examples(text: str) -> None:
    assert ibans.valid(text)
    assert not ibans.valid(text[:-1] + ("1" if text[-1] != "1" else "2"))


def test_a_right_remainder_alone_is_no_iban() -> None:
    assert not ibans.valid("NO37860111179470"), "too long for its country"
    assert not ibans.valid("ZZ4986011117947"), "no such country"
    assert not ibans.valid("")
