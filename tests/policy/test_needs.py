"""What a policy asks of the settings."""

import pytest

from gateway.policy.model import load
from gateway.policy.needs import missing, variables
from gateway.settings import Web

FILE = """
version: 1
issuers: [{{issuer: "https://one.example", audience: hoop}}{more}]
targets: {{shop: {{environment: p, host: h, port: 5432, database: d, user: u, password: {{env: X}}}}}}
reviewers: {{dba: {{groups: [dba], channels: ["slack:C1"]}}}}
rules: [{{name: writes wait, effect: hold, statements: [write], reviewers: dba{rule}}}]
"""
TWO = ', {issuer: "https://two.example", audience: hoop}'
WEB = Web("hoop-web", "secret")


@pytest.mark.parametrize(
    ("said", "rule", "more", "web"),
    [
        ("", "", "", None),
        ("", "", "", WEB),
        ("", ", approve_via: web", "", WEB),
        ("", ", approve_via: chat", TWO, None),
        ("", "", TWO, Web("hoop-web", "secret", "https://two.example")),
        ('rule "writes wait": approve_via: web needs HOOP_WEB_CLIENT_ID', ", approve_via: web", "", None),
        ("HOOP_WEB_ISSUER: missing", "", TWO, WEB),
        (
            "HOOP_WEB_ISSUER: https://three.example is none of",
            "",
            TWO,
            Web("hoop-web", "secret", "https://three.example"),
        ),
    ],
)
def test_what_is_missing(said: str, rule: str, more: str, web: Web | None) -> None:
    found = missing(load(FILE.format(rule=rule, more=more)), web)
    assert len(found) == bool(said)
    assert not said or found[0].startswith(said)


def test_the_variables_that_its_passwords_are_in() -> None:
    policy = load(FILE.format(rule="", more=""))
    assert variables(policy) == {"X"}
    reader = FILE.replace("{{env: X}}", "{{file: p}}, reader: {{user: r, password: {{env: Y}}}}")
    assert variables(load(reader.format(rule="", more=""))) == {"Y"}
