"""What lives in a context, as the code's own process tells it: for whoever has to know what there is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from protocell._printable import printable_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One name and what it stands for."""

    name: str
    type: str
    shape: tuple[int, ...] | None = None
    """Of an array or a frame."""
    size: int | None = None
    """Bytes; of a container without what it holds, of arrays and frames as a whole."""
    preview: str = ""

    def __str__(self) -> str:
        shape = "" if self.shape is None else f" {'x'.join(map(str, self.shape))}"
        return printable_line(f"{self.name}: {self.type}{shape} {self.preview}".rstrip(), 200)


class Variables(list[Variable]):
    """The last 200 variables of a context, the last made last; printed as a list for a model to read."""

    def __init__(
        self,
        variables: Iterable[Variable] = (),
        state_reason: str = "",
        variables_left_out: int = 0,
    ) -> None:
        super().__init__(variables)
        self.variables_left_out = variables_left_out
        """How many there are that were made before these; by the code's own word, as all of it."""
        self.state_reason = state_reason
        """Why there is less than the last execution has left; empty if all of it is there."""

    def names(self) -> list[str]:
        """Their names."""
        return [variable.name for variable in self]

    def to_dict(self) -> list[dict[str, Any]]:
        """For JSON."""
        return [asdict(variable) for variable in self]

    def __str__(self) -> str:
        told = "\n".join(map(str, self)) or "no variables"
        if self.variables_left_out:
            told = f"({self.variables_left_out:,} older ones left out)\n{told}"
        return f"{told}\n({self.state_reason})" if self.state_reason else told
