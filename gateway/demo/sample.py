"""The demo's two databases: `shop`, the target with sample data (sample.sql), and `hoop_store`, empty, for the gateway.

What lives here: roles, databases, who may do what. What must not: the store's own schema (gateway.store makes it).
"""

import secrets
from dataclasses import dataclass, field
from importlib.resources import files

from gateway.demo.postgres import EmbeddedPostgres

SHOP = "shop"
STORE = "hoop_store"
SHOP_USER = "hoop"
STORE_USER = "hoop_store"

# The passwords come by the environment: a process list or a server log never sees them.
_ROLES_AND_DATABASES = rf"""
\getenv shop_password SHOP_PASSWORD
\getenv store_password STORE_PASSWORD
CREATE ROLE {SHOP_USER} LOGIN PASSWORD :'shop_password';
CREATE ROLE {STORE_USER} LOGIN PASSWORD :'store_password';
CREATE DATABASE {SHOP};
CREATE DATABASE {STORE} OWNER {STORE_USER};
REVOKE ALL ON DATABASE {SHOP}, {STORE} FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE {SHOP} TO {SHOP_USER};
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """The logins that `load` made. `store_dsn` holds a password: never log it."""

    shop_password: str = field(repr=False)
    store_dsn: str = field(repr=False)


async def load(postgres: EmbeddedPostgres) -> Sample:
    """Make both databases and their logins, and fill `shop`. Raises PostgresError; a second load on one server fails."""
    shop_password, store_password = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    passwords = {"SHOP_PASSWORD": shop_password, "STORE_PASSWORD": store_password}
    await postgres.psql(_ROLES_AND_DATABASES, env=passwords)
    await postgres.psql(files("gateway.demo").joinpath("sample.sql").read_text("utf-8"), SHOP)
    return Sample(shop_password, postgres.dsn(STORE, STORE_USER, store_password))
