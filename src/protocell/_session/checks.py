"""What callers pass in, checked before anything runs."""

from __future__ import annotations

import inspect
import math
import posixpath
from collections.abc import Mapping

from protocell._workspace.transfer import Content
from protocell.errors import PolicyError
from protocell.execution import Execution
from protocell.limits import MIB
from protocell_guest.plan import HOME

MAX_CODE_CHARACTERS = 32 * MIB
MAX_TIMEOUT_SECONDS = 24 * 3600.0
MAX_COMMAND_BYTES = 64 * 1024
MOST_CHECKPOINTS = 3
_MOST_KEPT = 64
_MOST_METADATA = 100
_MAX_ENVS = 1000
_MAX_ENVS_BYTES = 96 * 1024


def check_code(code: object) -> None:
    """Raises PolicyError if it is not text of a size that is run."""
    if not isinstance(code, str):
        raise PolicyError(f"code is {type(code).__name__}; allowed is text (str)")
    if len(code) > MAX_CODE_CHARACTERS:
        most = f"{MAX_CODE_CHARACTERS:,} characters"
        raise PolicyError(f"code has {len(code):,} characters; at most {most}: pass data as files")


def check_command(command: object) -> None:
    """Raises PolicyError if it is not a line for the shell."""
    if not isinstance(command, str) or not command or "\0" in command:
        raise PolicyError(f"command is {command!r:.60}; allowed is a line for the shell (str)")
    if len(command.encode("utf-8", "surrogatepass")) > MAX_COMMAND_BYTES:
        raise PolicyError(f"command is longer than {MAX_COMMAND_BYTES:,} bytes; write it to a file")


def seconds(timeout: object, default: float) -> float:
    """The time that an execution may take; raises PolicyError."""
    if timeout is None:
        return default
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise PolicyError(f"timeout is {timeout!r}; allowed is a number of seconds or None")
    if not math.isfinite(timeout) or not 0 < timeout <= MAX_TIMEOUT_SECONDS:
        allowed = f"more than 0 and at most {MAX_TIMEOUT_SECONDS:g} seconds"
        raise PolicyError(f"timeout is {timeout!r}; allowed is {allowed}")
    return float(timeout)


def variables(envs: object) -> dict[str, str]:
    """Environment variables as they are passed on; raises PolicyError."""
    if envs is None:
        return {}
    if not isinstance(envs, Mapping) or len(envs) > _MAX_ENVS:
        raise PolicyError(f"envs is {type(envs).__name__}; allowed is a mapping of names to text")
    for name, value in envs.items():
        _check_variable(name, value)
    if sum(len(name) + len(value) for name, value in envs.items()) > _MAX_ENVS_BYTES:
        raise PolicyError(f"envs has more than {_MAX_ENVS_BYTES:,} characters; pass data as files")
    return dict(envs)


def _check_variable(name: object, value: object) -> None:
    if not isinstance(name, str) or not name or "=" in name or "\0" in name:
        raise PolicyError(f"envs has {name!r:.60} in it, which is no name of a variable")
    if not isinstance(value, str) or "\0" in value:
        raise PolicyError(f"envs has a value of {name!r:.60} that is not text")
    try:
        (name + value).encode()
    except UnicodeEncodeError as error:
        raise PolicyError(f"envs has a lone surrogate in {name!r:.60}") from error


def files(given: object) -> Mapping[str, Content]:
    """Files by name, as they are put into a workspace; raises PolicyError."""
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        allowed = "a mapping of names (str) to bytes, text, or a pathlib.Path of this machine"
        raise PolicyError(f"files is {given!r:.60}; allowed is {allowed}")
    return given


def folder(cwd: object) -> str | None:
    """An absolute path inside; raises PolicyError."""
    if cwd is None:
        return None
    if not isinstance(cwd, str) or not cwd or "\0" in cwd or len(cwd) > 4096:
        raise PolicyError(f"cwd is {cwd!r:.80}; allowed is the path of a folder in the sandbox")
    if cwd == "~" or cwd.startswith("~/"):
        cwd = cwd[2:].lstrip("/")
    return posixpath.join(HOME, cwd).rstrip("/") or "/"


def below_home(path: str | None) -> str:
    """What a whole path is below the workspace; nothing if it is not there, or goes up."""
    if path is None or not path.startswith(f"{HOME}/") or ".." in path.split("/"):
        return ""
    return "/".join(part for part in path.removeprefix(HOME).split("/") if part not in ("", "."))


def metadata(given: object) -> dict[str, str]:
    """What is only kept; raises PolicyError."""
    allowed = f"a mapping of at most {_MOST_METADATA} names (str) to text (str)"
    if given is None:
        return {}
    if not isinstance(given, Mapping) or len(given) > _MOST_METADATA:
        raise PolicyError(f"metadata is {given!r:.60}; allowed is {allowed}")
    for name, value in given.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise PolicyError(f"metadata has {name!r:.60}: {value!r:.60}; allowed is {allowed}")
    return dict(given)


def callback(name: str, given: object, *, awaited: bool = False) -> None:
    """Raises PolicyError if it is nothing to be called, or something that nobody would await."""
    if given is None:
        return
    if not callable(given):
        raise PolicyError(
            f"{name} is {given!r:.60}; allowed is a function of one argument, or None"
        )
    called = type(given).__call__  # of an object that can be called
    if not awaited and (inspect.iscoroutinefunction(given) or inspect.iscoroutinefunction(called)):
        what = "a coroutine function, which AsyncSandbox alone awaits"
        raise PolicyError(f"{name} is {what}; pass a plain function")


def retried(execution: object, *, has_tools: bool) -> None:
    """Raises PolicyError if that is no execution whose calls can be served again."""
    if execution is None:
        return
    if not isinstance(execution, Execution):
        raise PolicyError(f"retry_of is {execution!r:.60}; allowed is an Execution, or None")
    if not has_tools:
        raise PolicyError("retry_of serves calls of tools again, and this sandbox has no tools")


def kept(checkpoints: object) -> int:
    """How many checkpoints a context keeps; raises PolicyError."""
    if not isinstance(checkpoints, int) or not 0 <= checkpoints <= _MOST_KEPT:
        allowed = f"True, False, or 1 to {_MOST_KEPT}"
        raise PolicyError(f"checkpoints is {checkpoints!r:.60}; allowed is {allowed}")
    return MOST_CHECKPOINTS if checkpoints is True else int(checkpoints)
