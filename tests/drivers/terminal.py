"""A program that a person types into, in a terminal of its own: what it prints up to a mark, and Ctrl-C."""

import os
import pty
import termios
from collections.abc import Mapping


class Terminal:
    """Starts `command` without echo; `ask` types lines and returns what was printed before the mark."""

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        child, self._terminal = pty.fork()
        if child == 0:
            os.execvpe(command[0], command, environment)
        attributes = termios.tcgetattr(self._terminal)
        attributes[1] &= ~termios.OPOST
        attributes[3] &= ~termios.ECHO
        attributes[3] |= termios.NOFLSH  # what is typed ahead outlives Ctrl-C
        termios.tcsetattr(self._terminal, termios.TCSANOW, attributes)
        self._held = b""

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def until(self, mark: str) -> str:
        """What is printed before the line that the mark begins. Raises EOFError when the program ends."""
        while mark.encode() not in self._held:
            try:
                self._held += os.read(self._terminal, 65536)
            except OSError as error:  # EIO: the other side is closed
                raise EOFError(self._held.decode(errors="replace")) from error
        before, _, self._held = self._held.partition(mark.encode())
        return before.decode()

    def line(self) -> str:
        """The rest of the line."""
        return self.until("\n").rstrip("\r")

    def interrupt(self) -> None:
        self.type("\x03")
