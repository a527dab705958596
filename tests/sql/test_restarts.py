"""Which functions can't be fetched from behind a savepoint."""

import pytest

from gateway.sql.contained import Function
from gateway.sql.restarts import calls_beside_from, restarts


@pytest.mark.parametrize(
    ("language", "sets", "version", "restarted"),
    [
        ("sql", True, 170006, True),
        ("sql", True, 180000, False),
        ("plpgsql", True, 150000, False),
        ("sql", False, 150000, False),
    ],
)
def test_functions(language: str, sets: bool, version: int, restarted: bool) -> None:
    function = Function("f", language, volatile=False, plain=True, text="", sets=sets)
    assert restarts(function, version) == restarted


@pytest.mark.parametrize(
    ("text", "called"),
    [
        ("SELECT f()", True),
        ("SELECT (f()).a FROM t", True),
        ("SELECT public.f(1) + 1", True),
        ("SELECT * FROM (SELECT f() AS x) s", True),
        ("VALUES (f())", True),
        ("SELECT * FROM f()", False),
        ("SELECT f.a FROM t, LATERAL public.f(t.id) f", False),
        ("SELECT * FROM ROWS FROM (f(), g())", False),
        ("SELECT g()", False),
        ("SELECT 1; SELECT 2", True),
        ("SELECT g() -- " + "x" * 9000, True),
    ],
)
def test_calls(text: str, called: bool) -> None:
    assert calls_beside_from(text, {"f"}) == called
