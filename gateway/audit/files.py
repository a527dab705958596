"""The files of spools, read: which chains a directory holds, whether one is still written, and their lines; and that they can't be written.

What must not live here: how they are written (spool.py), whether what stands in them is true (chain.py, log.py).
"""

import fcntl
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from gateway.errors import GatewayError

_FILE = re.compile(r"(?P<replica>.+)\.(?P<part>\d{6})\.jsonl")


class SpoolUnwritable(GatewayError):
    """The record can't be written, so nothing may be forwarded (57P03; 53100 when the disk is full)."""

    sqlstate = "57P03"


def spooled(directory: Path) -> dict[str, list[Path]]:
    """The chains of a spool directory: replica -> its files in order, whatever is no file left out (see `strangers`). Raises
    OSError when it can't be read."""
    return _chains(directory, of_files=True)


def strangers(directory: Path) -> dict[str, list[Path]]:
    """What is named like a file of a chain and is none: a directory, a FIFO, a socket, a link to nowhere. A gateway makes no such thing,
    it may hide one of its files, and opening it may wait for ever. Raises OSError as `spooled`."""
    return _chains(directory, of_files=False)


def _chains(directory: Path, *, of_files: bool) -> dict[str, list[Path]]:
    chains: dict[str, list[Path]] = {}
    for path in sorted(directory.iterdir()):
        found = _FILE.fullmatch(path.name)
        if found is not None and path.is_file() is of_files:
            chains.setdefault(unquote(found["replica"]), []).append(path)
    return chains


def is_live(files: list[Path]) -> bool:
    """True while the process that writes this chain lives: it holds a lock on its newest file, which ends with it."""
    with files[-1].open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def lines(files: list[Path], offset: int = 0) -> Iterator[tuple[str, bool]]:
    """Each line of a chain's files in order and whether it is whole: a last line without its end is torn.

    `offset`: where in the first file to begin, at a line's first byte.

    Bytes that are not UTF-8 arrive as lone surrogates, so that such a line is an unreadable one and not an exception.
    """
    for path in files:
        with path.open("rb") as file:
            file.seek(offset if path is files[0] else 0)
            for raw in file:
                line = raw.decode("utf-8", "surrogateescape")
                yield line.removesuffix("\n"), line.endswith("\n")
