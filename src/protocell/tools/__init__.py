"""What a user hands over for the code to call: Python functions, MCP servers, OpenAPI services, skills.

Each name is loaded when it is first used: functions need pydantic, MCP servers the SDK, services httpx.
"""

import importlib
import typing

if typing.TYPE_CHECKING:
    from protocell.calls import ToolCall
    from protocell.tools.access import CallNumber, Tools
    from protocell.tools.approval import Approval, ApprovalRequest
    from protocell.tools.budget import Budget
    from protocell.tools.errors import ToolError
    from protocell.tools.limits import ToolLimits
    from protocell.tools.permission import Permission
    from protocell.tools.recording import Recording
    from protocell.tools.skills import Skill, SkillRequest, Skills
    from protocell.tools.thread_call import ThreadCall
    from protocell.tools.tool import (
        MISSING,
        Annotations,
        Answer,
        Call,
        Parameter,
        Question,
        Reply,
        Source,
        Tool,
    )
    from protocell.tools.toolset import Toolset
    from protocell_guest.content import Audio, Image, Resource, ResourceLink

__all__ = [
    "MISSING",
    "Annotations",
    "Answer",
    "Approval",
    "ApprovalRequest",
    "Audio",
    "Budget",
    "Call",
    "CallNumber",
    "Image",
    "Parameter",
    "Permission",
    "Question",
    "Recording",
    "Reply",
    "Resource",
    "ResourceLink",
    "Skill",
    "SkillRequest",
    "Skills",
    "Source",
    "ThreadCall",
    "Tool",
    "ToolCall",
    "ToolError",
    "ToolLimits",
    "Tools",
    "Toolset",
]

_HOMES = {
    "protocell.calls": ("ToolCall",),
    "protocell.tools.access": ("CallNumber", "Tools"),
    "protocell.tools.approval": ("Approval", "ApprovalRequest"),
    "protocell.tools.budget": ("Budget",),
    "protocell.tools.limits": ("ToolLimits",),
    "protocell.tools.errors": ("ToolError",),
    "protocell.tools.permission": ("Permission",),
    "protocell.tools.recording": ("Recording",),
    "protocell.tools.skills": ("Skill", "SkillRequest", "Skills"),
    "protocell.tools.thread_call": ("ThreadCall",),
    "protocell.tools.tool": (
        "MISSING",
        "Annotations",
        "Answer",
        "Call",
        "Parameter",
        "Question",
        "Reply",
        "Source",
        "Tool",
    ),
    "protocell.tools.toolset": ("Toolset",),
    "protocell_guest.content": ("Audio", "Image", "Resource", "ResourceLink"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> typing.Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'protocell.tools' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
