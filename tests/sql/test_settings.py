"""The settings list, and search_path values taken apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sql.settings import misread, quoted_schema, schemas, setting_class


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("housekeeping", "Application_Name", "x"),
        ("housekeeping", "enable_hashjoin", "off"),
        ("housekeeping", "hoop.reason", None),
        ("housekeeping", "client_encoding", "Utf-8"),
        ("housekeeping", "client_encoding", "UNICODE"),
        ("opaque", "client_encoding", "sjis"),
        ("opaque", "client_encoding", None),
        ("housekeeping", "standard_conforming_strings", "ON"),
        ("opaque", "standard_conforming_strings", "o"),
        ("opaque", "standard_conforming_strings", "off"),
        ("session", "role", "x"),
        ("session", "role", "None"),
        ("session", "role", None),
        ("housekeeping", "role", "none"),
        ("session", "session_authorization", "none"),
        ("session", "enable", "x"),
        ("session", "backslash_quote", "on"),
    ],
)
def test_setting_class(kind: str, name: str, value: str | None) -> None:
    found, reason = setting_class(name, value)
    assert found.value == kind
    assert bool(reason) == (kind == "opaque")


def test_reset_goes_back_to_what_the_gateway_chose() -> None:
    assert setting_class("client_encoding", None, reset=True)[0].value == "housekeeping"
    assert setting_class("default_transaction_read_only", None, reset=True)[0].value == "housekeeping"
    assert setting_class("transaction_read_only", None, reset=True)[0].value == "session"
    assert setting_class("ROLE", None, reset=True)[0].value == "housekeeping"
    assert setting_class("session_authorization", None, reset=True)[0].value == "housekeeping"


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("", ()),
        ("app, public", ("app", "public")),
        ('"$user", "My Schema" ,PUBLIC', ("$user", "My Schema", "public")),
        ('"x""y"', ('x"y',)),
    ],
)
def test_schemas(value: str, found: tuple[str, ...]) -> None:
    assert schemas(value) == found


@given(st.lists(st.text(min_size=1, max_size=8), max_size=4))
def test_quoted_schemas_come_apart_as_they_were(names: list[str]) -> None:
    assert schemas(", ".join(map(quoted_schema, names))) == tuple(names)


@pytest.mark.parametrize(
    ("name", "value", "fine"),
    [
        ("client_encoding", "LATIN1", False),
        ("Client_Encoding", "utf-8", True),
        ("client_encoding", None, True),
        ("standard_conforming_strings", "off", False),
        ("standard_conforming_strings", "on", True),
        ("work_mem", "off", True),
    ],
)
def test_settings_under_which_texts_would_be_misread(name: str, value: str | None, fine: bool) -> None:
    assert (misread([("jit", "off"), (name, value)]) is None) == fine
