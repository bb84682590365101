"""Names of servers, tools and parameters as Python writes them: predictable, and none hides another.

A letter, digit or underscore stays; all else becomes ``_``, a digit in front gets one before it, a
keyword gets one behind it. Of names that become the same, the one that was it already keeps it; the
others are numbered in the order of their original names: ``read_file``, ``read_file_2``. A namespace
that would hide a builtin or a module of the standard library gets an underscore behind it as well:
``time_.convert_time``, since code that needs ``time.sleep`` imports it, and its tools would be gone.
"""

from __future__ import annotations

import builtins
import keyword
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from ipaddress import ip_address
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

_NOT_A_WORD = re.compile(r"\W")
_PYTHONS_OWN = frozenset(dir(builtins)) | sys.stdlib_module_names
_WORDS = re.compile(r"[\W_]+")
_NO_NAMES = frozenset({"mcp", "server", "api", "openapi", "www", "modelcontextprotocol"})
_TRANSPORTS = frozenset({"sse", "http", "stream", "streamable", "v", "docs", "swagger", "spec"})
"""Parts of a URL's path that say how, and not who; a version has lost its number already."""
_RUNNERS = frozenset(
    {
        "npx",
        "bunx",
        "pnpm",
        "dlx",
        "uvx",
        "uv",
        "run",
        "tool",
        "pipx",
        "python",
        "node",
        "env",
        "sh",
    }
)


class Named(Protocol):
    """What has a place in a namespace; a ``Tool`` does."""

    @property
    def server(self) -> str:
        """Its namespace."""

    @property
    def identifier(self) -> str:
        """Its name there."""


Thing = TypeVar("Thing", bound=Named)


def identifier(name: str) -> str:
    """The name as a Python identifier; an identifier that is no keyword stays as it is."""
    # NFKC, as Python's own parser does: a name that was not would be found under another one.
    word = _NOT_A_WORD.sub("_", unicodedata.normalize("NFKC", name)) or "_"
    if not f"_{word}".isidentifier():  # \w has digits of more kinds than identifiers may
        word = re.sub(r"[^\x00-\x7f]", "_", word)
    if not word.isidentifier():
        word = f"_{word}"
    if keyword.iskeyword(word):
        return f"{word}_"
    # What Python looks up by itself (__class__, __await__) is not for a server to define.
    return f"x{word}" if word.startswith("__") and word.endswith("__") else word


def identifiers(names: Iterable[str], taken: Collection[str] = ()) -> dict[str, str]:
    """An identifier for each name, all of them different and none of them taken."""
    ordered = sorted(set(names))
    found = {name: name for name in ordered if identifier(name) == name and name not in taken}
    used = {*taken, *found}
    for name in ordered:
        if name not in found:
            found[name] = _free(identifier(name), used)
            used.add(found[name])
    return found


def _free(wanted: str, used: Collection[str]) -> str:
    number, name = 1, wanted
    while name in used:
        number += 1
        name = f"{wanted.rstrip('_') or '_'}_{number}"
    return name


def namespaces(servers: Iterable[str], reserved: Collection[str] = ()) -> dict[str, str]:
    """The variable under which each server's tools are found; ``reserved`` are the names of others."""
    every = set(servers)
    own = every & _PYTHONS_OWN
    named = identifiers(every - own, {*reserved, *_PYTHONS_OWN})
    for server in sorted(own):
        named[server] = _free(f"{server}_", {*reserved, *_PYTHONS_OWN, *named.values()})
    return named


def flat(tools: Iterable[Thing], reserved: Collection[str] = ()) -> dict[str, Thing]:
    """Tools that can be called without their namespace, by identifier.

    Those whose identifier no other tool has, and that is no namespace, not Python's own and not reserved.
    """
    every = list(tools)
    count = Counter(tool.identifier for tool in every)
    taken = {
        *reserved,
        *_PYTHONS_OWN,
        *namespaces({tool.server for tool in every}, reserved).values(),
    }
    return {
        tool.identifier: tool
        for tool in every
        if count[tool.identifier] == 1 and tool.identifier not in taken
    }


def server_name(target: str | Sequence[str]) -> str:
    """A namespace for a server that was given none: from its URL, its command or its file.

    ``https://mcp.linear.app/sse`` is linear, ``npx -y @modelcontextprotocol/server-github`` github.
    """
    words = target.split() if isinstance(target, str) else [str(word) for word in target]
    if len(words) == 1 and "://" in words[0]:
        return _of_url(words[0])
    said = [word for word in words if not word.startswith("-") and _last(word) not in _RUNNERS]
    first = (said or words or [""])[0]
    parts = _telling(_last(first))
    if not parts and first.startswith("@"):  # of @playwright/mcp, only the scope tells
        parts = _telling(first.partition("/")[0])
    return identifier("_".join(parts) or "server")


def _of_url(url: str) -> str:
    """From its host; where that is an address, from the last part of its path that tells something."""
    parts = urlsplit(url)
    host = (parts.hostname or "").removeprefix("www.")
    if host and not _is_address(host):
        labels = host.split(".")
        return identifier(([n for n in labels[:-1] if n not in _NO_NAMES] or labels)[0])
    for part in reversed([_last(part) for part in parts.path.split("/")]):
        if (words := _telling(part)) and not _TRANSPORTS.issuperset(words):
            return identifier("_".join(words))
    return "server"


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _telling(text: str) -> list[str]:
    return [part for part in _WORDS.split(text) if part and part not in _NO_NAMES]


def _last(word: str) -> str:
    """Of a path, a package or an image, its own name: no folder, scope, version or suffix."""
    name = word.rstrip("/").rpartition("/")[2]
    name = name.partition("@")[0].partition("==")[0].partition(":")[0] or name
    return re.sub(r"\.(py|js|mjs|ts|json|ya?ml)$|[\d.]+$", "", name).lower()
