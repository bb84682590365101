"""The notebooks of tests/notebooks: cells as people write them, in files that IPython calls .ipy.

A file begins with a sentence. A cell begins with ``# %%``, and what follows on that line says how what comes of it
differs from what a notebook gives: ``differs: name, name`` names rows of DIFFERENCES
(tests/integration/test_notebooks.py). Before the first cell, ``# fresh`` asks for a kernel that nothing else has run
in and a sandbox that nothing is preloaded in, and ``# also: plain`` says that nothing in it needs IPython.
"""

import re
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent.parent / "notebooks"
PATHS = sorted(FOLDER.glob("*.ipy"))

_MARK = re.compile(r"\bdiffers: ([a-z-]+(?:, [a-z-]+)*)")


class Cell(NamedTuple):
    """Its number, its text, and what was said of it."""

    number: int
    code: str
    differences: tuple[str, ...] = ()


class Notebook(NamedTuple):
    """A file of cells."""

    name: str
    head: str
    cells: list[Cell]

    @property
    def is_fresh(self) -> bool:
        """Whether nothing may have been imported or set before."""
        return "\n# fresh\n" in self.head

    @property
    def is_plain(self) -> bool:
        """Whether it needs no IPython."""
        return "\n# also: plain\n" in self.head


def read(path: Path) -> Notebook:
    """The notebook in a file."""
    head, *parts = re.split(r"^# %%", path.read_text(), flags=re.MULTILINE)
    return Notebook(path.stem, head, [_cell(number, part) for number, part in enumerate(parts, 1)])


def _cell(number: int, part: str) -> Cell:
    line, _, code = part.partition("\n")
    mark = _MARK.search(line)
    return Cell(number, code.rstrip("\n"), tuple(mark[1].split(", ")) if mark else ())
