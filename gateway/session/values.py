"""Bound values as text, for people. What lives here: which binary formats can be read. What must not: what is masked (hiding.py)."""

from collections.abc import Sequence
from typing import Final

from gateway.session.names import Portal
from gateway.wire.frontend import Bind

#: Characters of a value that are shown.
TEXT_SHOWN: Final = 1000


def values(portal: Portal) -> tuple[str | None, ...] | None:
    """The bound values as text, for people. Binary values of unknown types are shown by their length."""
    return None if portal.bind is None else bound_values(portal.bind, portal.prepared.types)


def bound_values(bind: Bind, types: Sequence[int]) -> tuple[str | None, ...]:
    """The same of a Bind and the parameters' types."""
    return shown_values(bind.parameters, bind.parameter_formats, types)


def shown_values(
    parameters: Sequence[bytes | None], formats: Sequence[int], types: Sequence[int]
) -> tuple[str | None, ...]:
    """The same of the values, their format codes and their types."""
    shown: list[str | None] = []
    for at, value in enumerate(parameters):
        binary = (formats[at] if at < len(formats) else formats[0] if len(formats) == 1 else 0) == 1
        shown.append(None if value is None else _shown(value, binary, types[at] if at < len(types) else 0))
    return tuple(shown)


#: Binary formats that people can be shown as they are: type OID -> reader (pg_type.dat).
_BOOL: Final = 16
_INT8: Final = 20
_INT2: Final = 21
_INT4: Final = 23
_UUID: Final = 2950
_TEXTS: Final = frozenset({25, 1043, 1042, 19, 114, 142})


def _shown(value: bytes, binary: bool, oid: int) -> str:
    if not binary or oid in _TEXTS:
        try:
            text = value.decode("utf-8")
        except UnicodeDecodeError:
            return f"<{len(value)} bytes>"
        return text if len(text) <= TEXT_SHOWN else f"{text[:TEXT_SHOWN]}... ({len(text)} characters)"
    if oid in (_INT2, _INT4, _INT8):
        return str(int.from_bytes(value, "big", signed=True))
    if oid == _BOOL:
        return "true" if value == b"\x01" else "false"
    if oid == _UUID and len(value) == 16:
        text = value.hex()
        return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
    # Also where the type isn't known: the four bytes of 875770417 read as the text "4321".
    return f"<{len(value)} bytes, type {oid or 'unknown'}>"
