"""The environment of `hoop serve`: defaults, every problem at once, secrets that never show."""

import socket
from pathlib import Path

import pytest

from gateway.settings import ELSEWHERE, PURPOSES, Address, SettingsError, Web, derive, listening, read, unknown

AUDIT = "audit-key-audit-key-audit-key-audit-key"
SECRET = "secret-secret-secret-secret-secret-secret"
LEAST = {
    "HOOP_STORE": "postgresql://hoop:storepass@db.example.com/hoop",
    "HOOP_AUDIT_KEY": AUDIT,
    "HOOP_SECRET": SECRET,
    "HOOP_LISTEN": "127.0.0.1:6432",
    "HOOP_INSECURE_LOOPBACK": "1",
}


def problems_of(**changes: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read({**LEAST, **changes})
    return "\n".join(caught.value.problems)


def test_defaults_are_those_of_the_documentation() -> None:
    settings = read(LEAST)
    assert settings.listen == Address("127.0.0.1", 6432)
    assert settings.http == Address("0.0.0.0", 8080)
    assert (settings.log, settings.workers, settings.spool) == ("json", 1, Path("spool"))
    assert settings.slack is None
    assert settings.teams is None


def test_every_problem_is_reported_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        read({"HOOP_SECRET": "short", "HOOP_LOG": "xml", "HOOP_WORKERS": "none"})
    named = [problem.split(":")[0] for problem in caught.value.problems]
    assert sorted(named) == [
        "HOOP_AUDIT_KEY",
        "HOOP_LOG",
        "HOOP_SECRET",
        "HOOP_STORE",
        "HOOP_TLS_CERT",
        "HOOP_TLS_KEY",
        "HOOP_WORKERS",
    ]


def test_secrets_come_from_files_and_never_show(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{AUDIT}\n")
    environ = {**LEAST, "HOOP_AUDIT_KEY": "", "HOOP_AUDIT_KEY_FILE": str(tmp_path / "key")}
    environ |= {
        "SLACK_BOT_TOKEN": "xoxb-canary",
        "SLACK_SIGNING_SECRET": "sign-canary",
        "SLACK_APP_TOKEN": "xapp-canary",
    }
    environ |= {"TEAMS_APP_ID": "app", "TEAMS_APP_PASSWORD": "teams-canary", "TEAMS_TENANT_ID": "tenant"}
    settings = read(environ)
    assert settings.audit_key == AUDIT.encode()
    assert settings.slack is not None
    assert settings.slack.app_token == "xapp-canary"
    shown = repr(settings)
    assert "canary" not in shown
    assert AUDIT not in shown
    assert SECRET not in shown
    assert "storepass" not in shown


@pytest.mark.parametrize("name", ["HOOP_SECRET", "HOOP_AUDIT_KEY", "HOOP_STORE", "SLACK_BOT_TOKEN"])
def test_a_secret_file_that_cannot_be_read_is_one_problem(name: str, tmp_path: Path) -> None:
    found = problems_of(**{name: "", f"{name}_FILE": str(tmp_path / "missing"), "SLACK_SIGNING_SECRET": "s"})
    if name != "SLACK_BOT_TOKEN":
        found = "\n".join(line for line in found.splitlines() if not line.startswith("SLACK"))
    assert found.startswith(f"{name}_FILE: ")
    assert "\n" not in found


def test_a_secret_given_twice_is_refused_without_showing_it(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET)
    found = problems_of(HOOP_SECRET_FILE=str(tmp_path / "key"))
    assert "both HOOP_SECRET and HOOP_SECRET_FILE" in found
    assert SECRET not in found


def test_binary_secret_files_do_not_leak_into_the_error(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"canary\xff\xfe" * 8)
    found = problems_of(HOOP_SECRET="", HOOP_SECRET_FILE=str(tmp_path / "key"))
    assert "not UTF-8" in found
    assert "canary" not in found


@pytest.mark.parametrize(
    ("listen", "insecure", "wanted"),
    [
        ("0.0.0.0:6432", "1", "HOOP_INSECURE_LOOPBACK: HOOP_LISTEN is 0.0.0.0"),
        ("0.0.0.0:6432", "", "HOOP_TLS_CERT: missing"),
        ("127.0.0.1:6432", "", "HOOP_TLS_CERT: missing"),
        ("gate.example.com:6432", "1", "HOOP_INSECURE_LOOPBACK: HOOP_LISTEN is gate.example.com"),
    ],
)
def test_plain_text_needs_loopback_and_consent(listen: str, insecure: str, wanted: str) -> None:
    assert wanted in problems_of(HOOP_LISTEN=listen, HOOP_INSECURE_LOOPBACK=insecure)


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:6432", "localhost:6432"])
def test_loopback_has_several_spellings(listen: str) -> None:
    assert read({**LEAST, "HOOP_LISTEN": listen}).listen.is_loopback


@pytest.mark.parametrize("listen", ["6432", ":6432", "host:", "host:70000", "::1:6432", "host:abc"])
def test_a_bad_address_is_refused(listen: str) -> None:
    assert "HOOP_LISTEN" in problems_of(HOOP_LISTEN=listen)


def test_a_bad_address_is_one_problem_and_its_default_is_not_judged() -> None:
    assert problems_of(HOOP_LISTEN="127.0.0.1").startswith('HOOP_LISTEN: "127.0.0.1" is no address')
    assert "\n" not in problems_of(HOOP_LISTEN="127.0.0.1")
    assert "\n" not in problems_of(**{**WEB, "HOOP_PUBLIC_URL": "", "HOOP_HTTP": "127.0.0.1"})


def test_what_keeps_a_port_from_being_bound_is_told_with_its_variable() -> None:
    away = Address("no-such-host.invalid", 1)
    said = "^can't listen on no-such-host.invalid:1: Name or service not known; change HOOP_HTTP$"
    with pytest.raises(OSError, match=said), listening("HOOP_HTTP", away):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_certificate_and_key_go_together(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("x")
    assert problems_of(HOOP_TLS_CERT=str(tmp_path / "cert.pem")).startswith("HOOP_TLS_KEY: missing")
    assert "there is no file" in problems_of(
        HOOP_TLS_CERT=str(tmp_path / "no.pem"), HOOP_TLS_KEY=str(tmp_path / "no.pem")
    )


def test_half_a_chat_is_refused() -> None:
    assert "SLACK_SIGNING_SECRET: missing" in problems_of(SLACK_BOT_TOKEN="xoxb-1")
    assert "SLACK_BOT_TOKEN: missing" in problems_of(SLACK_SIGNING_SECRET="s")
    found = problems_of(TEAMS_APP_ID="app")
    assert "TEAMS_APP_PASSWORD: missing" in found
    assert "TEAMS_TENANT_ID: missing" in found


def test_public_url_is_https_outside_loopback() -> None:
    assert "HOOP_PUBLIC_URL" in problems_of(HOOP_PUBLIC_URL="http://gate.example.com")
    assert read({**LEAST, "HOOP_PUBLIC_URL": "http://127.0.0.1:8080"}).public_url == "http://127.0.0.1:8080"


WEB = {
    "HOOP_WEB_CLIENT_ID": "hoop-web",
    "HOOP_WEB_CLIENT_SECRET": "web-canary",
    "HOOP_PUBLIC_URL": "https://gate.example.com",
}


def test_the_client_that_people_sign_in_by() -> None:
    web = read({**LEAST, **WEB}).web
    assert web == Web("hoop-web", "web-canary", "", "openid profile email")
    assert "web-canary" not in repr(web)
    assert read({**LEAST, "HOOP_WEB_SCOPE": "openid"}).web is None


def test_a_client_needs_all_of_it() -> None:
    for name in ("HOOP_WEB_CLIENT_ID", "HOOP_WEB_CLIENT_SECRET", "HOOP_PUBLIC_URL"):
        assert f"{name}: missing" in problems_of(**(WEB | {name: ""}))
    assert "HOOP_WEB_SCOPE: openid" in problems_of(**WEB, HOOP_WEB_SCOPE="profile")
    here = {**WEB, "HOOP_PUBLIC_URL": "", "HOOP_HTTP": "127.0.0.1:8080"}
    assert read({**LEAST, **here}).web is not None, "on loopback its own address is known"


def test_each_purpose_has_its_own_key() -> None:
    keys = {derive(SECRET.encode(), purpose) for purpose in PURPOSES}
    assert len(keys) == len(PURPOSES)
    assert {len(key) for key in keys} == {32}
    assert derive(SECRET.encode(), "masks") == derive(SECRET.encode(), "masks")
    assert derive(b"x" * 32, "masks") not in keys
    with pytest.raises(ValueError, match="no key"):
        derive(SECRET.encode(), "mask")


def test_the_example_lists_every_variable() -> None:
    example = Path(__file__).parent.parent.joinpath(".env.example").read_text()
    source = Path(__file__).parent.parent.joinpath("gateway/settings.py").read_text()
    listed = {line.split("=")[0] for line in example.splitlines() if "=" in line and not line.startswith("#")}
    used = {
        word for word in source.replace('"', " ").split() if word.startswith(("HOOP_", "TEAMS_")) and word.isupper()
    }
    used = {word for word in used if word.replace("_", "").isalpha()} - {"HOOP_", *ELSEWHERE}
    assert used <= listed
    assert {"SLACK_BOT_TOKEN", "SLACK_SIGNING_SECRET", "SLACK_APP_TOKEN", "SLACK_API_URL"} <= listed


def test_shared_channels_are_a_list() -> None:
    found = read(LEAST | {"SLACK_BOT_TOKEN": "x", "SLACK_SIGNING_SECRET": "s", "SLACK_SHARED_CHANNELS": "C1, C2,C3"})
    assert found.slack is not None
    assert found.slack.shared_channels == {"C1", "C2", "C3"}


def test_more_workers_than_slack_allows_connections_are_refused() -> None:
    slack = {"SLACK_BOT_TOKEN": "xoxb-1", "SLACK_APP_TOKEN": "xapp-1"}
    assert read({**LEAST, **slack, "HOOP_WORKERS": "10"}).workers == 10
    with pytest.raises(SettingsError, match="HOOP_WORKERS: 11 are too many with SLACK_APP_TOKEN"):
        read({**LEAST, **slack, "HOOP_WORKERS": "11"})
    assert read({**LEAST, "SLACK_BOT_TOKEN": "xoxb-1", "SLACK_SIGNING_SECRET": "s", "HOOP_WORKERS": "11"}).workers == 11


def test_an_address_is_written_as_it_is_read() -> None:
    for text in ("127.0.0.1:6432", "[::1]:6432"):
        assert str(read({**LEAST, "HOOP_LISTEN": text}).listen) == text


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("HOOP_SPOL", "did you mean HOOP_SPOOL?"),
        ("HOOP_STORE_FIEL", "did you mean HOOP_STORE_FILE?"),
        ("HOOP_WEB_CLIENT", "did you mean HOOP_WEB_CLIENT_ID?"),
        ("HOOP_COLOUR", ".env.example lists them all"),
    ],
)
def test_a_variable_that_nothing_reads_is_told_with_the_nearest_that_is(name: str, hint: str) -> None:
    assert unknown({**LEAST, name: "x"}) == [f"{name}: no such setting; {hint}"]
    assert unknown({**LEAST, name: "x"}, named={name}) == [], "the policy reads a password from it"


def test_what_is_read_is_known() -> None:
    """By this module, by other commands, and what Kubernetes sets for a service that is called hoop."""
    example = Path(__file__).parent.parent.joinpath(".env.example").read_text()
    listed = {line.split("=")[0]: "x" for line in example.splitlines() if "=" in line and not line.startswith("#")}
    cluster = {f"HOOP_GATE_{each}": "x" for each in ("SERVICE_HOST", "SERVICE_PORT", "PORT", "PORT_6432_TCP_ADDR")}
    assert unknown({**listed, **cluster, "HOOP_AUDIT_KEY_FILE": "x", "PATH": "x", "SLACK_TOKEN": "x"}) == []
    assert unknown({"HOOP_PORT": "x", **cluster})[0].startswith("HOOP_PORT: no such setting")


def test_other_commands_read_what_is_said_of_them() -> None:
    read_there = Path(__file__).parent.parent.joinpath("gateway/cli/token.py").read_text()
    assert all(f'envvar="{name}"' in read_there for name in ELSEWHERE)
