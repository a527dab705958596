"""A list as people and programs read it: a table that fits into the terminal, or a line a row where the output is piped.

What lives here: how it is laid out. What its cells say, and making them harmless (control characters), is the caller's.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text


@dataclass(frozen=True, slots=True)
class Listing:
    """`names`: of the columns. A line end in a cell is one in the terminal, and a blank in a pipe.

    `whole`: columns, by their place, that are not narrowed below so many characters. `numbers`: those that stand on the right.
    """

    names: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str
    title: str = ""
    whole: tuple[tuple[int, int], ...] = ()
    numbers: tuple[int, ...] = ()

    def table(self) -> Table:
        """For a terminal: what is too long is folded."""
        table = Table(title=Text(self.title) if self.title else None, caption=self.caption, title_justify="left")
        table.box = SIMPLE_HEAD
        for at, name in enumerate(self.names):
            table.add_column(name, justify="right" if at in self.numbers else "left", overflow="fold")
        for at, width in self.whole:
            table.columns[at].min_width = width
        for row in self.rows:
            table.add_row(*map(Text, row))
        return table

    def lines(self) -> list[str]:
        """For a pipe: title, names, a line a row, caption; columns in step, nothing folded."""
        cells = [list(self.names), *([" ".join(cell.split("\n")) for cell in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        shown = ["  ".join(map(self._padded, range(len(widths)), row, widths)).rstrip() for row in cells]
        return [*([self.title] if self.title else []), *shown, self.caption]

    def _padded(self, at: int, cell: str, width: int) -> str:
        return cell.rjust(width) if at in self.numbers else cell.ljust(width)


def show(listing: Listing) -> None:
    """Print it to standard output."""
    if sys.stdout.isatty():
        Console(highlight=False, soft_wrap=False).print(listing.table())
    else:
        typer.echo("\n".join(listing.lines()))
