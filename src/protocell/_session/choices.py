"""What the maker of a sandbox chose for it, checked before anything is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocell._session import checks

if TYPE_CHECKING:
    from protocell._broker.desk import Desk
    from protocell.tools import Tools, Toolset


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the maker of a sandbox chose for it."""

    envs: Mapping[str, str] | None = None
    cwd: str | None = None
    timeout: float | None = None
    metadata: Mapping[str, str] | None = None
    checkpoints: bool | int = False
    tools: Tools | Toolset | None = None

    def check(self) -> None:
        """Raises PolicyError."""
        checks.variables(self.envs)
        checks.seconds(self.timeout, 1.0)
        checks.folder(self.cwd)
        checks.kept(self.checkpoints)
        checks.metadata(self.metadata)

    def desk(self) -> Desk | None:
        """Where the calls of tools are taken, if there are any.

        Raises:
            PolicyError: they are no tools.
        """
        if self.tools is None:
            return None
        from protocell._broker.desk import Desk  # noqa: PLC0415  (loads asyncio, which few need)
        from protocell.tools.access import as_tools  # noqa: PLC0415

        return Desk(as_tools(self.tools))
