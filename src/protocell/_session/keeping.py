"""Skills and the owner of a sandbox: the folder that he mounts there, the functions of its code that he keeps."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from protocell._printable import printable_line
from protocell._running.talk import ask
from protocell._session.core import Core
from protocell._session.lifecycle import DEFAULT_POLICY, unsupported
from protocell.errors import PolicyError, ProtocolError
from protocell.policy import Mount, Policy
from protocell.tools.skill_text import About, about_of, check_name
from protocell_guest import skill_terms

if TYPE_CHECKING:
    from protocell.tools.skill_source import SkillSource
    from protocell.tools.skills import Skill, Skills

_MOST_REASON = 500


def with_folder(policy: Policy | None, skills: Skills | None) -> Policy | None:
    """The policy with the folder of the skills among its mounts.

    Raises:
        PolicyError: something else is mounted there.
        UnsupportedError: it asks for isolation that has no mounts.
    """
    given = policy or DEFAULT_POLICY
    if skills is None or not isinstance(given, Policy):
        return policy  # what is no policy is refused by who makes the sandbox
    if given.isolation == "process":
        raise unsupported("skills")
    mount = Mount(source=skills.folder, target=skill_terms.FOLDER)
    return replace(given, mounts=(*given.mounts, mount))


async def save_skill(core: Core, shelf: SkillSource | None, name: str, *, replaces: bool) -> Skill:
    """The function of that name, with what it needs.

    Raises:
        PolicyError: it cannot be kept; the message says why.
        FileError: there is a skill of that name, or it cannot be written.
    """
    if shelf is None:
        raise PolicyError("this sandbox has no skills: make it with skills=Skills(folder)")
    check_name(name)
    if type(replaces) is not bool:
        raise PolicyError(f"replace is {replaces!r:.60}; allowed are True and False")
    async with core.interpreter("skills") as (box, patience):
        number = core.count
        answer = await ask(box, {"op": "skill", "id": number, "name": name}, patience)
    if answer.get("event") != "skill" or answer.get("id") != number:
        raise ProtocolError("the interpreter does not tell its functions as ours does")
    detail, source = answer.get("detail"), answer.get("source")
    if type(detail) is not str:
        raise ProtocolError("the interpreter does not say whether a function can be saved")
    if detail:
        raise PolicyError(f"{name} cannot be saved: {printable_line(detail, _MOST_REASON)}")
    if type(source) is not str:
        raise ProtocolError("the interpreter does not tell the text of a function")
    about = about_of(answer.get("about")) or About()
    work = partial(shelf.skills.save, name, source, replace=replaces, about=about)
    return await core.waiter.apart(work)
