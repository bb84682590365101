"""Skills as one sandbox has them: among its tools in the catalogue, and a tool by which code asks to keep one.

A skill is called where the code runs and never here; it is a ``Tool`` so that the model is shown it, finds it by the
same search, and is told when its definition changes. What is really a tool is ``skills/save``: who agreed to it is
asked over the way by which all calls are approved, so it waits, ends and is logged as they are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from protocell.errors import FileError, PolicyError
from protocell.tools.access import Tools
from protocell.tools.approval import Approval, ApprovalRequest, Approve, Said
from protocell.tools.errors import ToolError
from protocell.tools.permission import ALLOW
from protocell.tools.skill_text import About, about_of, check_name, check_source
from protocell.tools.skill_tool import SkillTool
from protocell.tools.skills import Book, Entry, SkillRequest, Skills
from protocell.tools.tool import Answer, Call, Parameter, Tool
from protocell.tools.toolset import Toolset
from protocell_guest.skill_terms import SAVE, SPACE

_ANYTHING = (
    Parameter(name="args", identifier="args", schema={}, required=False, kind="variadic"),
    Parameter(name="kwargs", identifier="kwargs", schema={}, required=False, kind="keywords"),
)
_SAVING = """\
Keep a function that you have defined, for later programs, which find it as skills.name(...).

Its imports, helper functions and constants come along. replace=True puts it in place of one of that name."""
_SAVE_PARAMETERS = (
    Parameter(name="function", identifier="function", schema={}, required=True),
    Parameter(
        name="name", identifier="name", schema={"type": "string"}, required=False, default=None
    ),
    Parameter(
        name="replace",
        identifier="replace",
        schema={"type": "boolean"},
        required=False,
        default=False,
        kind="keyword_only",
    ),
)


class SkillSource:
    """The skills of one sandbox, as they were when it looked last."""

    def __init__(self, skills: Skills) -> None:
        self.changed: Callable[[], None] | None = None
        self.skills = skills
        self.book: Book = skills.book()

    @property
    def name(self) -> str:
        """Their namespace."""
        return SPACE

    def refresh(self) -> None:
        """Look whether there are others now.

        Raises:
            FileError: the folder cannot be read.
        """
        now = self.skills.book()
        if now is not self.book:
            self.book = now
            if self.changed is not None:
                self.changed()

    async def start(self) -> None:
        """Does nothing."""

    async def tools(self) -> tuple[Tool, ...]:
        """One for each skill, and the one that keeps another if somebody can agree to it."""
        found = [_tool_of(entry) for entry in self.book]
        return (*found, *([_Saving(self.skills).tool()] if self.skills.consent else []))

    async def close(self) -> None:
        """Does nothing."""


def with_skills(tools: Tools | None, source: SkillSource) -> Tools:
    """The tools of a sandbox, if it has any, and its skills.

    Raises:
        PolicyError: a server among the tools is called as the skills are.
    """
    given = tools or Tools(toolset=Toolset())
    approve = _Approving(source.skills, given.approve)
    return replace(given, toolset=given.toolset + Toolset.source(source), approve=approve)


# -- a skill --------------------------------------------------------------------------------------


def _tool_of(entry: Entry) -> Tool:
    about = entry.about or About()
    known = about.parameters is not None
    parameters = _ANYTHING if about.parameters is None else about.parameters
    schema: dict[str, Any] = {
        "type": "object",
        "$comment": f"SHA-256 of its file: {entry.skill.digest}",  # so that the definition is another one
        "properties": {each.name: each.schema for each in parameters if _is_named(each)},
        "required": [each.name for each in parameters if each.required],
        "additionalProperties": not known or not all(map(_is_named, parameters)),
    }
    return SkillTool(
        server=SPACE,
        name=entry.skill.name,
        identifier=entry.skill.name,
        description=about.doc,
        parameters=parameters,
        input_schema=schema,
        output_schema=about.returns,
        native=True,
        invoke=_not_here,
    )


def _is_named(parameter: Parameter) -> bool:
    return parameter.kind not in ("variadic", "keywords")


async def _not_here(_arguments: Mapping[str, Any], _call: Call) -> Answer:
    raise ToolError("a skill is a function in the sandbox: call it there, as skills.name(...)")


# -- keeping one ----------------------------------------------------------------------------------


class _Saving:
    """The tool that keeps a function."""

    def __init__(self, skills: Skills) -> None:
        self._skills = skills

    def tool(self) -> Tool:
        return SkillTool(
            server=SPACE,
            name=SAVE,
            identifier=SAVE,
            description=_SAVING,
            parameters=_SAVE_PARAMETERS,
            input_schema={"type": "object", "additionalProperties": True},
            output_schema={"type": "string"},
            permission=ALLOW.tightened("ask"),
            native=True,
            check=self.check,
            invoke=self.invoke,
        )

    def check(self, arguments: dict[str, Any]) -> None:
        """Before anybody is asked."""
        try:
            check_source(check_name(arguments["function"]), arguments.get("source"))
        except PolicyError as error:
            raise _refused(error) from error
        if type(arguments.get("replace", False)) is not bool:
            raise ToolError("replace is True or False", kind="validation")

    async def invoke(self, arguments: dict[str, Any], call: Call) -> Answer:
        skill = await call.run_sync(lambda: self._saved(arguments))
        told = f"it is {SPACE}.{skill.name}{skill.signature}, from the next execution on"
        return Answer(value=told)

    def _saved(self, arguments: dict[str, Any]) -> Any:
        try:
            return self._skills.save(
                arguments["function"],
                arguments["source"],
                replace=arguments.get("replace", False),
                about=about_of(arguments.get("about")) or About(),
            )
        except (PolicyError, FileError) as error:
            raise _refused(error) from error


def _refused(error: PolicyError | FileError) -> ToolError:
    return ToolError(f"{SPACE}/{SAVE}: {error}", kind="validation", tool=SAVE, server=SPACE)


class _Approving:
    """Asks who agrees to skills about skills, and who approves calls about all others."""

    def __init__(self, skills: Skills, approve: Approve | None) -> None:
        self._skills = skills
        self._approve = approve

    def __call__(self, request: ApprovalRequest) -> Said | Awaitable[Said]:
        if request.tool == f"{SPACE}/{SAVE}" and self._skills.consent is not None:
            return self._skills.consent(self._request(request.arguments))
        if self._approve is None:
            why = "it needs an approval, and nobody is there to give one"
            return Approval(allowed=False, reason=why)
        if isinstance(self._approve, str):
            return self._approve == "allow"
        return self._approve(request)

    def _request(self, arguments: Mapping[str, Any]) -> SkillRequest:
        about = about_of(arguments.get("about")) or About()
        name = str(arguments["function"])
        there = [entry.skill for entry in self._skills.book() if entry.skill.name == name]
        return SkillRequest(
            name=name,
            source=str(arguments["source"]),
            signature=about.signature or "(...)",
            doc=about.doc,
            replaces=there[0].digest if there else "",
        )
