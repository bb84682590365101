"""From what was typed to tools: servers by command or URL, services by document, toolsets by module and attribute."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Self

from protocell.errors import PolicyError, ProtocellError
from protocell.tools.access import Tools, as_tools
from protocell.tools.toolset import Toolset

# "https://..?a=b" is none; nor is a path with "=" in it.
_NAMED = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*)=(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What was typed."""

    objects: tuple[str, ...] = ()
    mcp: tuple[str, ...] = ()
    openapi: tuple[str, ...] = ()
    base_urls: tuple[str, ...] = ()

    @classmethod
    def given(cls, *texts: Iterable[str] | None) -> Self:
        """The four in their order; None for what was left out."""
        objects, mcp, openapi, base_urls = (tuple(each or ()) for each in texts)
        return cls(objects=objects, mcp=mcp, openapi=openapi, base_urls=base_urls)

    def tools(self, fields: Mapping[str, Any]) -> Tools:
        """All of them together; ``fields`` of ``Tools`` count in place of those that a module says.

        Raises:
            PolicyError: one cannot be understood, or cannot be imported.
            UnsupportedError: a package is missing for it.
        """
        found = [_imported(text) for text in self.objects]
        whole = [each for each in found if isinstance(each, Tools)]
        if len(whole) > 1:
            raise PolicyError(
                "two of these are Tools, which say how all is shown; make one of them"
            )
        sets = [as_tools(each).toolset for each in found]
        sets += [*self._servers(), *self._services()]
        if not sets:
            raise PolicyError(
                "no tools were named; give MODULE:ATTRIBUTE, --mcp SERVER or --openapi SPEC"
            )
        toolset = sum(sets[1:], sets[0])
        if whole:
            return replace(whole[0], toolset=toolset, **fields)
        return Tools(toolset=toolset, **fields)

    def _servers(self) -> Iterator[Toolset]:
        for text in self.mcp:
            name, target = _name_and_rest(text)
            try:
                yield Toolset.mcp(target, name=name)
            except ProtocellError:
                raise
            except ValueError as error:  # of shlex: a quotation that does not end
                raise PolicyError(f"--mcp {text!r} is no command: {error}") from error

    def _services(self) -> Iterator[Toolset]:
        bases = dict(_name_and_rest(text) for text in self.base_urls)
        if None in bases and len(self.openapi) != 1:
            raise PolicyError("--base-url is for one service; of several write NAME=URL")
        for text in self.openapi:
            name, spec = _name_and_rest(text)
            base = bases.pop(name, bases.pop(None, None))
            yield Toolset.openapi(spec, name=name, base_url=base)
        for name in bases:
            raise PolicyError(
                f"--base-url {name}=... is for no service; name one with --openapi {name}="
            )


def _name_and_rest(text: str) -> tuple[str | None, str]:
    match = _NAMED.fullmatch(text)
    return (match[1], match[2]) if match else (None, text)


def _imported(text: str) -> Tools | Toolset:
    name, colon, attribute = text.partition(":")
    if not colon or not name or not attribute:
        hint = "write MODULE:ATTRIBUTE, as in my_agent.tools:TOOLS; for a server use --mcp"
        raise PolicyError(f"{text!r} is no toolset; {hint}")
    found = _attribute(_module(name), name, attribute)
    if isinstance(found, Tools | Toolset):
        return found
    what = f"{text} is of the type {type(found).__name__}"
    raise PolicyError(f"{what}; allowed are Toolset and Tools, as in Toolset.of(function)")


def _module(name: str) -> Any:
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return import_module(name)
    except ProtocellError:
        raise
    except Exception as error:  # the user's own module may do anything
        raise PolicyError(
            f"cannot import {name!r}: {type(error).__name__}: {error}; it is looked for in this folder and "
            f"where {sys.executable} finds modules"
        ) from error


def _attribute(found: Any, module: str, path: str) -> Any:
    for part in path.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(part, dir(found), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise PolicyError(f"there is no {part!r} in {module}{hint}")
        found = getattr(found, part)
    return found
