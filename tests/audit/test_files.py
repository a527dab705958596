"""Reading spools' files: which process still writes, and lines of any bytes."""

import time
from pathlib import Path

from gateway.audit.files import is_live, lines, spooled
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
