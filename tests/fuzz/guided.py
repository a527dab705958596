"""Fuzzing led by coverage: `python -m tests.fuzz.guided {wire,sql} [libFuzzer options, -runs=1000000 among them]`.

It needs atheris (extra "fuzz", which has wheels for some Pythons only), and finds what the cases made by hand don't think of:
bytes as a client and a target may send them, texts as they may be. A failure is written to a file that makes it again.
"""

import sys
from collections.abc import Callable
from contextlib import suppress

import atheris

with atheris.instrument_imports(include=["gateway.wire", "gateway.sql", "gateway.errors"]):
    from gateway.errors import GatewayError, ProtocolViolation
    from gateway.sql.parse import read
    from gateway.sql.portable import dump, load
    from gateway.wire import backend, frontend, startup
    from gateway.wire.frames import Frames
    from gateway.wire.scram import Scram

_READERS: tuple[Callable[[bytes], object], ...] = (
    frontend.read_query,
    frontend.read_parse,
    frontend.read_bind,
    frontend.read_execute,
    frontend.read_named,
    frontend.read_password,
    startup.read,
    backend.row_description,
    backend.parameter_description,
    backend.data_row,
    backend.command_tag,
    backend.fields,
    backend.read_parameter_status,
    lambda raw: startup.options(raw.decode("utf-8", "replace")),
    lambda raw: Scram("secret", "nonce").final(raw),
    lambda raw: Frames().feed(raw),
)


def wire(data: bytes) -> None:
    """The first byte says who reads the rest."""
    if not data:
        return
    with suppress(GatewayError):
        _READERS[data[0] % len(_READERS)](data[1:])


def sql(data: bytes) -> None:
    try:
        text = data.decode()
        script = read(text)
    except (UnicodeDecodeError, ProtocolViolation):
        return
    assert load(dump(script), text) == script


if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], {"wire": wire, "sql": sql}[sys.argv[1]])
    atheris.Fuzz()
