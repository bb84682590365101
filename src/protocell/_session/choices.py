"""What the maker of a sandbox chose for it, checked before anything is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocell._session import checks
from protocell.errors import PolicyError

if TYPE_CHECKING:
    from protocell._broker.desk import Desk
    from protocell.tools import Skills, Tools, Toolset
    from protocell.tools.skill_source import SkillSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the maker of a sandbox chose for it."""

    envs: Mapping[str, str] | None = None
    cwd: str | None = None
    timeout: float | None = None
    metadata: Mapping[str, str] | None = None
    checkpoints: bool | int = False
    tools: Tools | Toolset | None = None
    skills: Skills | None = None

    def check(self) -> None:
        """Raises PolicyError."""
        checks.variables(self.envs)
        checks.seconds(self.timeout, 1.0)
        checks.folder(self.cwd)
        checks.kept(self.checkpoints)
        checks.metadata(self.metadata)

    def shelf(self) -> SkillSource | None:
        """The skills of this sandbox, if there can be any.

        Raises:
            PolicyError: they are none.
        """
        if self.skills is None:
            return None
        from protocell.tools.skill_source import SkillSource  # noqa: PLC0415  (which few need)
        from protocell.tools.skills import Skills  # noqa: PLC0415

        if not isinstance(self.skills, Skills):
            raise PolicyError(f"skills is {self.skills!r:.60}; allowed is Skills(folder), or None")
        return SkillSource(self.skills)

    def desk(self, shelf: SkillSource | None = None) -> Desk | None:
        """Where the calls of tools are taken, if there are any; skills are among these.

        Raises:
            PolicyError: they are no tools.
        """
        if self.tools is None and shelf is None:
            return None
        from protocell._broker.desk import Desk  # noqa: PLC0415  (loads asyncio, which few need)
        from protocell.tools.access import as_tools  # noqa: PLC0415

        given = None if self.tools is None else as_tools(self.tools)
        if shelf is not None:
            from protocell.tools.skill_source import with_skills  # noqa: PLC0415  (as above)

            given = with_skills(given, shelf)
        return None if given is None else Desk(given)
