"""The pages that name keys and settings: docs/policies.md and docs/deploy.md say what the code reads, no more and no less.

The page's own example of a policies file is read with every section of it noted, so a key that is new in the code or gone from it is seen,
as is a default that is another. The SQL of deploy.md is run.
"""

import ast
import asyncio
import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import yaml
from prometheus_client import generate_latest
from typer.testing import CliRunner

from gateway import settings
from gateway.__main__ import make
from gateway.demo.postgres import EmbeddedPostgres
from gateway.metrics import Metrics, merged
from gateway.policy import document, model, reviewers
from gateway.policy.document import Section
from gateway.policy.model import Policy, Secret, Target, load
from gateway.relay.side import risks
from gateway.store.postgres import PostgresStore, missing_migrations

ROOT = Path(__file__).parents[1]
POLICIES = (ROOT / "docs/policies.md").read_text("utf-8")
DEPLOY = (ROOT / "docs/deploy.md").read_text("utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


def rows(page: str) -> Iterator[tuple[str, list[str]]]:
    """(the code in the heading above, the cells) of each row of a table that begins with code."""
    above = ""
    for line in page.splitlines():
        if line.startswith("## "):
            found = re.search(r"`(.+?)`", line)
            above = found[1] if found else ""
        elif line.startswith("| `"):
            yield above, [each.strip() for each in re.split(r"(?<!\\)\|", line)[1:-1]]


def code(cell: str) -> str:
    """The code that a cell is, or ""."""
    found = re.fullmatch(r"`([^`]+)`", cell)
    return found[1] if found else ""


# --- policies.md ---------------------------------------------------------------------------------------------------------

#: A whole policies file, as short as one with every section can be: where a default is tried.
LEAST: dict[str, Any] = {
    "version": 1,
    "issuers": [{"issuer": "https://login.example.com", "audience": "hoop", "claims": {"user": "email"}}],
    "targets": {
        "shop": {"environment": "e", "host": "h", "database": "d", "user": "u", "password": {"env": "P"}},
    },
    "reviewers": {"dba": {"groups": ["dba"], "escalate": {"channels": ["slack:C0SECOND"]}}},
    "rules": [{"name": "writes wait", "effect": "hold", "statements": ["write"], "reviewers": "dba"}],
    "masking": {"detect": ["card"]},
    "limits": {"open_requests_per_user": 10},
}


def keys_of_the_page() -> dict[str, str]:
    """Path -> its default, where that is code. Words of tables that list something else (classes, masks) are no keys."""
    return {
        f"{above}.{code(cells[0])}": code(cells[2])
        for above, cells in rows(POLICIES)
        if above.startswith("policies") and len(cells) == 4
    }


def sections_of_the_code(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[str, ...]]:
    """Path -> the keys that it may hold, of each section of the page's example: noted when it is opened."""
    found: dict[str, tuple[str, ...]] = {}
    places: dict[int, str] = {}
    read = Section.__init__

    def opened(self: Section, node: yaml.Node, title: str, keys: Iterable[str], problems: document.Problems) -> None:
        named = tuple(keys)
        read(self, node, title, named, problems)
        path = places.get(id(node), "policies")
        found[path] = named
        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
            for each in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                places[id(each)] = f"{path}.{key.value if named else 'NAME'}"

    monkeypatch.setattr(Section, "__init__", opened)
    load(example(), "policies.md")
    return found


def _once(path: str) -> str:
    """`unless` takes the conditions of its rule, and a reader's password what a password takes: the page names both once."""
    return path.replace(".unless.", ".").replace(".reader.password.", ".password.")


def example() -> str:
    [text] = blocks(POLICIES, "yaml")
    return text


def test_the_page_names_every_key_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    sections = sections_of_the_code(monkeypatch)
    code_has, page_has = (
        {_once(f"{at}.{key}") for at, keys in sections.items() for key in keys},
        set(keys_of_the_page()),
    )
    assert code_has - page_has == set(), "docs/policies.md does not name them"
    assert page_has - code_has == set(), "docs/policies.md names them, and there are no such keys"


def test_the_example_has_every_section_that_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else nobody would ask for the keys of a new one."""
    readers = {"section", "sections", "named_sections", "mixed"}
    read = {
        node.args[0].value
        for module in (model, reviewers)
        for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in readers
        if isinstance(node.args[0], ast.Constant)
    }
    assert len(read) > 15
    assert read - {each.rpartition(".")[2] for each in sections_of_the_code(monkeypatch)} == set()


def test_the_example_passes_its_own_tests(tmp_path: Path) -> None:
    file = tmp_path / "policies.yaml"
    file.write_text(example(), "utf-8")
    done = CliRunner().invoke(make(("check",)), ["check", str(file)])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize(("path", "default"), [each for each in keys_of_the_page().items() if each[1]])
def test_a_default_is_what_the_page_says(path: str, default: str) -> None:
    assert loaded(LEAST) == loaded(with_key(LEAST, path.split(".")[1:], default))


def loaded(parts: Mapping[str, Any]) -> Policy:
    """All on one line, so that no line differs."""
    text = yaml.safe_dump(dict(parts), default_flow_style=True, width=100_000)
    return replace(load(text, "p.yaml"), version="")


def with_key(part: Any, path: list[str], value: str) -> Any:
    """A copy of a tree of mappings and lists with a value put at this path; NAME is the first there is."""
    if isinstance(part, list):
        return [with_key(part[0], path, value), *part[1:]]
    name = next(iter(part)) if path[0] == "NAME" else path[0]
    return {**part, name: value if len(path) == 1 else with_key(part.get(name, {}), path[1:], value)}


# --- deploy.md -----------------------------------------------------------------------------------------------------------


def settings_of_the_page() -> dict[str, list[str]]:
    """Variable -> what it is without, whether a file may hold it, what it is."""
    return {code(cells[0]): cells[1:] for above, cells in rows(DEPLOY) if above == "hoop serve"}


class Asked(dict[str, str]):
    """An environment in which everything is set, to something or other; `names` are those that were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.names.add(name)
        return default if name.endswith("_FILE") else "x"


def test_the_page_names_every_setting_and_no_other() -> None:
    asked = Asked()
    with pytest.raises(settings.SettingsError):
        settings.read(asked)
    in_files = {each.removesuffix("_FILE") for each in asked.names if each.endswith("_FILE")}
    page_has = settings_of_the_page()
    assert {each for each in asked.names if not each.endswith("_FILE")} == page_has.keys()
    assert {name for name, cells in page_has.items() if cells[1] == "yes"} == in_files


@pytest.fixture
def complete(tmp_path: Path) -> dict[str, str]:
    """An environment of a gateway with both chats and the pages."""
    file = tmp_path / "some.pem"
    file.touch()
    keys = {"HOOP_STORE": "postgresql://h/d", "HOOP_AUDIT_KEY": "a" * 32, "HOOP_SECRET": "s" * 32}
    files = {"HOOP_TLS_CERT": str(file), "HOOP_TLS_KEY": str(file), "HOOP_PUBLIC_URL": "https://gate.example.com"}
    teams = dict.fromkeys(("TEAMS_APP_ID", "TEAMS_APP_PASSWORD", "TEAMS_TENANT_ID"), "t")
    web = dict.fromkeys(("HOOP_WEB_CLIENT_ID", "HOOP_WEB_CLIENT_SECRET"), "w")
    return {**keys, **files, **teams, **web, "SLACK_BOT_TOKEN": "b", "SLACK_SIGNING_SECRET": "g"}


@pytest.mark.parametrize("name", [name for name, cells in settings_of_the_page().items() if code(cells[0])])
def test_a_setting_is_without_it_what_the_page_says(name: str, complete: dict[str, str]) -> None:
    assert settings.read(complete | {name: code(settings_of_the_page()[name][0])}) == settings.read(complete)


@pytest.mark.parametrize(
    "name", [name for name, cells in settings_of_the_page().items() if cells[0] == "must be there"]
)
def test_a_setting_has_to_be_there_where_the_page_says_so(name: str, complete: dict[str, str]) -> None:
    with pytest.raises(settings.SettingsError):
        settings.read({each: value for each, value in complete.items() if each != name})


def test_the_page_names_every_metric_and_no_other() -> None:
    page_has = {code(cells[0]) for above, cells in rows(DEPLOY) if cells[0].startswith("`hoop_")}
    metrics = Metrics()
    shown = merged({1: generate_latest(metrics.registry).decode()}, 1).decode()
    typed = dict(re.findall(r"^# TYPE (\w+) (\w+)$", shown, re.MULTILINE))
    counted = {name.removesuffix("_created") for name in typed if name.endswith("_created")}
    assert page_has == {name for name in typed if not name.endswith("_created")} | counted


def test_the_events_that_the_page_names_are_logged() -> None:
    named = {each for above, cells in rows(DEPLOY) for each in re.findall(r"`([a-z]+\.[a-z_]+)`", cells[0])}
    source = "".join(path.read_text("utf-8") for base in ("gateway", "bots") for path in (ROOT / base).rglob("*.py"))
    assert len(named) > 8
    assert {each for each in named if f'"{each}"' not in source} == set()


@pytest.mark.parametrize("name", ["README.md", "docs/deploy.md", ".env.example"])
def test_a_dsn_of_the_store_is_printed_whole(name: str) -> None:
    printed = re.findall(r"postgresql://hoop_\w+[^\s'`]*", (ROOT / name).read_text("utf-8"))
    for dsn in printed:
        assert re.fullmatch(
            r"postgresql://hoop_(owner|gate):PASSWORD@[\w.]+/hoop\?sslmode=verify-full&sslrootcert=/\S+\.pem", dsn
        ), dsn
    assert printed or name == "README.md"


def test_a_shell_reads_the_example_as_docker_does() -> None:
    """As README sources it; docker takes each line from its first = on as it is."""
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    as_docker = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    shell = ["sh", "-c", "set -a; . ./.env.example; exec env -0"]
    said = subprocess.run(shell, cwd=ROOT, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=True)
    as_shell = dict(each.split("=", 1) for each in said.stdout.split("\0") if each)
    assert {name: as_shell[name] for name in as_docker} == as_docker
    assert as_docker["HOOP_STORE_FILE"]


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """One of its own: the page's roles and databases have plain names."""
    with tempfile.TemporaryDirectory(prefix="hoop-docs-") as base:
        Path(base).chmod(0o711)
        running = asyncio.run(EmbeddedPostgres.start(Path(base)))
        yield running
        asyncio.run(running.stop())


def rights_of_the_schema() -> Iterator[tuple[str, str]]:
    """(right, table) as the head of schema.sql lists them."""
    head = (ROOT / "gateway/store/schema.sql").read_text("utf-8").partition("-- migration 1")[0]
    for granted, tables in re.findall(r"GRANT ([A-Z, ]+) ON ([a-z_, ]+)[;.]", head):
        yield from ((right, table) for right in granted.split(", ") for table in tables.split(", "))


async def test_the_pages_sql_makes_a_store_whose_gateway_can_take_nothing_out(server: EmbeddedPostgres) -> None:
    roles, grants, _ = blocks(DEPLOY, "sql")
    await server.psql(roles)
    owner, gate = server.dsn("hoop", "hoop_owner", "choose one"), server.dsn("hoop", "hoop_gate", "another")
    assert (await missing_migrations(gate))[1] is False
    await (await PostgresStore.connect(owner)).close()
    await server.psql(grants, "hoop")
    store = await PostgresStore.connect(gate)
    await store.heartbeat("host:1:0")
    assert await store.alive(60.0) == ["host:1:0"]
    await store.close()
    connection = await asyncpg.connect(gate)
    rights = await connection.fetch(
        "SELECT privilege_type, table_name FROM information_schema.role_table_grants WHERE grantee = 'hoop_gate'"
    )
    assert {(each[0], each[1]) for each in rights if each[0] != "SELECT"} == set(rights_of_the_schema())
    for taking in ("DELETE FROM hoop.audit", "UPDATE hoop.audit SET seq = 1", "DELETE FROM hoop.approval"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(taking)
    await connection.close()


async def test_the_pages_sql_makes_logins_without_a_right_too_many(server: EmbeddedPostgres) -> None:
    *_, logins = blocks(DEPLOY, "sql")
    await server.psql("CREATE ROLE app; CREATE DATABASE shop OWNER app")
    await server.psql("SET ROLE app; CREATE TABLE customers (id serial PRIMARY KEY, name text)", "shop")
    await server.psql(logins, "shop")
    await server.psql("SET ROLE app; CREATE TABLE later (id serial PRIMARY KEY)", "shop")
    for name, password in (("hoop_shop", "choose one"), ("hoop_shop_reader", "another")):
        login = Target("shop", "production", server.host, server.port, "shop", name, Secret(), sslmode="disable")
        assert await risks(login, password) == []
    writer = await asyncpg.connect(server.dsn("shop", "hoop_shop", "choose one"))
    await writer.execute("INSERT INTO customers (name) VALUES ('ann'); INSERT INTO later DEFAULT VALUES")
    await writer.close()
    reader = await asyncpg.connect(server.dsn("shop", "hoop_shop_reader", "another"))
    assert await reader.fetchval("SELECT count(*) FROM customers, later") == 1
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await reader.execute("DELETE FROM later")
    await reader.close()
