"""Cutting texts to a budget of JSON characters."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bots.cards import card
from bots.fitting import cost, excerpt, fit, prefix
from bots.texts import moment
from tests.bots.samples import DELETE, NOW, PLAIN


@given(st.text(), st.integers(0, 60))
def test_a_prefix_is_the_longest_that_the_budget_allows(text: str, budget: int) -> None:
    head = prefix(text, budget)
    assert text.startswith(head)
    assert cost(head) - 2 <= budget
    assert head == text or cost(text[: len(head) + 1]) - 2 > budget


def test_what_fit_leaves_out_is_counted() -> None:
    assert fit("short", 10) == "short"
    assert fit("x" * 1_500, 10) == "x" * 10 + "... (+1,490 characters)"


def test_no_moment_is_cut_in_two() -> None:
    assert "\ue000" not in fit(f"at {moment(NOW)} and more", 6)


def test_long_sql_keeps_head_and_tail_and_counts_the_rest() -> None:
    sql = "\n".join(f"-- line {k}" for k in range(1000)) + "\nDROP TABLE customers"
    shown, was_cut = excerpt(card(replace(PLAIN, statements=(replace(DELETE, sql=sql),)), NOW).statements[0], 2500)
    assert was_cut
    assert shown.startswith("-- line 0\n")
    assert shown.endswith("DROP TABLE customers")
    assert "lines (" in shown
    assert "sha256 " in shown
    assert shown.count("\n") < 18
