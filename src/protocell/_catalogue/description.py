"""The words with which a model is given its one tool: what runs, what stays, how tools are called, what comes back.

They are the same for every sandbox and never change within a session, so that the caches of prompts hold; what differs
is the catalogue, which stands last.
"""

from __future__ import annotations

from typing import Any

NAME = "execute_python"

_WORDS = """\
Run Python code in a sandbox. You get back what it prints and the value of its last expression, or the error.
- State is kept: variables, functions and imports of one call are there in the next.
- It is CPython without network. Tools are the way out: functions that are there already, nothing is to be imported.
- Do all of a task's steps in one program: loop over calls, join what they give, keep it in variables. Calls can run \
side by side, in threads or with asyncio.gather.
- Print the few lines that matter: what is not printed costs you nothing.
- A call that fails raises ToolError; its message says what to do."""


def describe(catalogue_text: str) -> str:
    """The whole description of the tool: our words, then the catalogue."""
    return f"{_WORDS}\n\n{catalogue_text}"


def execute_spec(description: str, name: str = NAME) -> dict[str, Any]:
    """The tool as an agent loop hands it over: ``{"name", "description", "input_schema"}``."""
    code = {"type": "string", "description": "Python source"}
    return {
        "name": name,
        "description": description,
        "input_schema": {"type": "object", "properties": {"code": code}, "required": ["code"]},
    }
