"""Reading spools' files: which process still writes, and lines of any bytes."""

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.audit.files import is_live, lines, spooled, strangers
from gateway.audit.spool import Spool

R = "db-1.example.com:1700000000:0"


def test_live_until_its_process_ends(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, R, b"k" * 32, time.time)
    assert is_live(spooled(tmp_path)[R])
    spool.close()
    assert not is_live(spooled(tmp_path)[R])


def test_lines_that_are_no_text_are_lines_still(tmp_path: Path) -> None:
    (tmp_path / "x.000000.jsonl").write_bytes(b"\xff\xfe\n\r\nlast")
    assert list(lines(spooled(tmp_path)["x"])) == [("\udcff\udcfe", True), ("\r", True), ("last", False)]


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


#: What may be named like a spool's file and is none.
ODD: dict[str, Callable[[Path], object]] = {
    "directory": Path.mkdir,
    "FIFO": os.mkfifo,
    "socket": _socket,
    "link to nowhere": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize("make", ODD.values(), ids=ODD)
def test_what_is_no_file_is_none_of_a_chain_and_named_as_a_stranger(
    make: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the name of a socket may have 107 bytes
    whole, odd = Path("x.000000.jsonl"), Path("x.000001.jsonl")
    whole.write_text("{}\n")
    make(odd)
    make(Path("y.000000.jsonl"))
    make(Path("y"))
    assert spooled(Path()) == {"x": [whole]}
    assert strangers(Path()) == {"x": [odd], "y": [Path("y.000000.jsonl")]}


def test_a_link_to_a_file_is_one(tmp_path: Path) -> None:
    """Somebody may keep old ones on another disk."""
    (tmp_path / "elsewhere").write_text("{}\n")
    (tmp_path / "x.000000.jsonl").symlink_to("elsewhere")
    assert spooled(tmp_path) == {"x": [tmp_path / "x.000000.jsonl"]}
    assert strangers(tmp_path) == {}
