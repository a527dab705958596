"""What is put in the place of a protected value: redact, last4, hash, null, partial; valid for the column's type.

What lives here: which type ids hold text, and the masks. What must not: which columns are protected (rows.py plans
that) and what a secret looks like (detectors.py).

Placeholders are ASCII, without quotes, commas, braces and backslashes, so that they stand in arrays, records, COPY and JSON
strings as they are. A value whose type has no placeholder becomes NULL. Type ids: pg_type.dat of PostgreSQL 18.
"""

import binascii
import hmac
import json
from collections.abc import Callable
from enum import Enum

TEXT_FORMAT, BINARY_FORMAT = 0, 1  # format codes of the protocol (manual, 55.7 Bind)
REDACTED = "[redacted]"
FIRST_USER_OID = 16384  # FirstNormalObjectId (access/transam.h): types of extensions and users begin here


class Kind(Enum):
    """How a value of a type is read and replaced. HARMLESS can hold no secret that a detector or a mask looks for."""

    TEXT = "text"
    CHAR = "char"
    JSON = "json"
    JSONB = "jsonb"
    BYTEA = "bytea"
    INT8 = "int8"
    NUMERIC = "numeric"
    ARRAY = "array"
    RECORD = "record"
    HARMLESS = "harmless"
    UNKNOWN = "unknown"


_OIDS: dict[Kind, tuple[int, ...]] = {
    # text varchar bpchar name xml unknown cstring refcursor
    Kind.TEXT: (25, 1043, 1042, 19, 142, 705, 2275, 1790),
    Kind.CHAR: (18,),
    Kind.JSON: (114,),
    Kind.JSONB: (3802,),
    Kind.BYTEA: (17,),
    Kind.INT8: (20,),
    Kind.NUMERIC: (1700,),
    # text[] varchar[] bpchar[] name[] "char"[] json[] jsonb[] bytea[] xml[] int8[] numeric[] cstring[]
    Kind.ARRAY: (1009, 1015, 1014, 1003, 1002, 199, 3807, 1001, 143, 1016, 1231, 1263),
    Kind.RECORD: (2249,),
    # bool int2 int4 oid tid xid xid8 cid float4 float8 money date time timetz timestamp timestamptz interval uuid
    # inet cidr macaddr macaddr8 bit varbit point lseg path box polygon line circle pg_lsn void and arrays of the common
    # ones. float8 and money can hold a card only as arithmetic, which is lineage's job.
    Kind.HARMLESS: (
        16, 21, 23, 26, 27, 28, 5069, 29, 700, 701, 790, 1082, 1083, 1266, 1114, 1184, 1186, 2950, 869, 650, 829, 774,
        1560, 1562, 600, 601, 602, 603, 604, 628, 718, 3220, 2278, 1000, 1005, 1007, 1028, 1021, 1022, 1182, 1115, 1185, 2951,
    ),
}  # fmt: skip
# Ranges, multiranges, their arrays, and the arrays that aren't above (of records, too): drivers read their text and take no placeholder for it.
_STRICT = frozenset({
    3904, 3906, 3908, 3910, 3912, 3926, 4451, 4532, 4533, 4534, 4535, 4536,
    3905, 3907, 3909, 3911, 3913, 3927, 6150, 6151, 6152, 6153, 6155, 6157,
    22, 30, 271, 629, 651, 719, 775, 791, 1006, 1008, 1010, 1011, 1012, 1013, 1017, 1018, 1019, 1020, 1027, 1034, 1040, 1041,
    1183, 1187, 1270, 1561, 1563, 2201, 2207, 2208, 2209, 2210, 2211, 2949, 3221, 3643, 3644, 3645, 3735, 3770, 4073, 4090,
    4097, 4192, 5039, 2287,
})  # fmt: skip
_KINDS = {oid: kind for kind, oids in _OIDS.items() for oid in oids}
_BPCHAR = 1042
_DIGITS = b"0123456789"
_SHORT = 8  # fewer characters than this and four of them would tell too much


def kind_of(type_oid: int, format_code: int) -> Kind:
    """How to read a type. In text format an unknown type (citext, enums, domains of extensions) is read as text, unless its text
    has a form that drivers insist on."""
    kind = _KINDS.get(type_oid, Kind.UNKNOWN)
    if kind is Kind.UNKNOWN and format_code == TEXT_FORMAT and type_oid not in _STRICT:
        return Kind.TEXT
    return kind


def _redact(_text: str, _key: bytes) -> str:
    return REDACTED


def _last4(text: str, _key: bytes) -> str:
    """The last four characters; the groups of a card for 12 digits or more; nothing of a short value."""
    others = text.encode().translate(None, _DIGITS) if text.isascii() else [c for c in text if not c.isdecimal()]
    if len(text) - len(others) >= 12:
        return f"**** **** **** {text[-4:]}"
    return "****" if len(text) < _SHORT else f"****{text[-4:]}"


def _hash(text: str, key: bytes) -> str:
    """64 bits of HMAC-SHA-256: stable for one key, so that masked columns can still be joined and grouped."""
    return f"hash:{hmac.digest(key, text.encode('utf-8', 'surrogateescape'), 'sha256').hex()[:16]}"


def _partial(text: str, _key: bytes) -> str:
    """a***@example.com of an address; first and last character of others; nothing of a short value."""
    name, at, domain = text.rpartition("@")
    if at and name:
        return f"{name[0]}***@{domain}"
    return "***" if len(text) < _SHORT else f"{text[0]}***{text[-1]}"


_TEXT_MASKS: dict[str, Callable[[str, bytes], str]] = {
    "redact": _redact,
    "last4": _last4,
    "hash": _hash,
    "partial": _partial,
}
#: The names that policies may use.
MASKS = frozenset({*_TEXT_MASKS, "null"})


def apply(mask: str, value: bytes | None, type_oid: int, format_code: int, key: bytes) -> bytes | None:
    """Replace one field value. None is SQL NULL and stays so.

    `value` is the field as DataRow carries it, `format_code` 0 text or 1 binary, `key` the HMAC key of hash masks (32
    bytes). Types without a placeholder give None. Raises ValueError for a mask that isn't one of MASKS, and for an
    empty key.
    """
    replace = replacer(mask, type_oid, format_code, key)
    return None if value is None else replace(value)


def replacer(mask: str, type_oid: int, format_code: int, key: bytes) -> Callable[[bytes], bytes | None]:
    """What `apply` does to each value of a column. Raises as it does."""
    if mask not in MASKS:
        raise ValueError(f"mask {mask} is not known; known are {', '.join(sorted(MASKS))}")
    if mask == "hash" and not key:
        raise ValueError("a hash mask needs a key")
    replace = None if mask == "null" else _BY_KIND.get(kind_of(type_oid, format_code))
    if replace is None:
        return lambda _value: None
    if type_oid == _BPCHAR:
        return lambda value: replace(mask, value.rstrip(b" "), format_code, key)
    return lambda value: replace(mask, value, format_code, key)


def is_fixed(mask: str, type_oid: int, format_code: int) -> bool:
    """Does `apply` give the same for each value?"""
    kind = kind_of(type_oid, format_code)
    return mask == "null" or kind not in _BY_KIND or (mask == "redact" and kind is Kind.TEXT)


def _text(mask: str, value: bytes, _format: int, key: bytes) -> bytes:
    return _TEXT_MASKS[mask](value.decode("utf-8", "surrogateescape"), key).encode("utf-8", "surrogateescape")


def _char(_mask: str, _value: bytes, _format: int, _key: bytes) -> bytes:
    return b"*"  # "char" is one byte wide


def _json(mask: str, value: bytes, _format: int, key: bytes) -> bytes:
    """A JSON string. The mask sees a scalar's own text; of an object or array it sees nothing but the hash of the whole."""
    text = value.decode("utf-8", "surrogateescape")
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        parsed = {}
    if isinstance(parsed, str | int | float) and not isinstance(parsed, bool):
        text = parsed if isinstance(parsed, str) else text.strip()
    elif mask != "hash":
        mask = "redact"
    return json.dumps(_TEXT_MASKS[mask](text, key)).encode()


def _jsonb(mask: str, value: bytes, format_code: int, key: bytes) -> bytes | None:
    """As json; the binary format has a version byte in front, of which only 1 is known (jsonb_send)."""
    if format_code == TEXT_FORMAT:
        return _json(mask, value, format_code, key)
    return b"\x01" + _json(mask, value[1:], format_code, key) if value[:1] == b"\x01" else None


def _bytea(mask: str, value: bytes, format_code: int, key: bytes) -> bytes:
    """The placeholder's bytes; in text format in hex, which every reader takes whatever bytea_output says."""
    raw = value
    if format_code == TEXT_FORMAT and value.startswith(b"\\x"):
        try:
            raw = binascii.unhexlify(value[2:])
        except binascii.Error:
            raw = value
    shown = (_hash(raw.decode("utf-8", "surrogateescape"), key) if mask == "hash" else REDACTED).encode()
    return b"\\x" + binascii.hexlify(shown) if format_code == TEXT_FORMAT else shown


_BY_KIND: dict[Kind, Callable[[str, bytes, int, bytes], bytes | None]] = {
    Kind.TEXT: _text,
    Kind.CHAR: _char,
    Kind.JSON: _json,
    Kind.JSONB: _jsonb,
    Kind.BYTEA: _bytea,
}
