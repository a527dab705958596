"""One of several workers: `hoop serve` without the command line, for its supervisor (supervisor.py) and nobody else.

    python -m gateway.cli.worker NUMBER COUNT DESCRIPTOR FOLDER

What lives here: what a worker has of its own. What it does is serve.py's. DESCRIPTOR is its end of the supervisor's pair, FOLDER
where the siblings' sockets are.
"""

import contextlib
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from gateway import logs
from gateway.app import Gateway
from gateway.cli.serve import Refusal, prepared, run
from gateway.siblings import Worker


def main(words: Sequence[str]) -> int:
    """Serve until told to stop, or until the supervisor is gone. Returns the exit code."""
    number, count, descriptor, folder = words
    worker = Worker(int(number), int(count), Path(folder))
    try:
        settings, policy = prepared(os.environ)
    except Refusal as refusal:
        for problem in refusal.problems:
            print(problem, file=sys.stderr)
        return refusal.code
    logs.configure(settings.log, worker=worker.number)
    with socket.socket(fileno=int(descriptor)) as lifeline:
        lifeline.setblocking(False)
        lifeline.set_inheritable(False)  # no child of a worker's own keeps it open
        code = uvloop.run(run(Gateway(settings, policy, worker=worker), lifeline))
        with contextlib.suppress(OSError):  # not empty: another is still at it; else the supervisor's own to remove
            if _is_over(lifeline):
                worker.folder.rmdir()
    return code


def _is_over(lifeline: socket.socket) -> bool:
    try:
        return not lifeline.recv(1)
    except BlockingIOError:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
