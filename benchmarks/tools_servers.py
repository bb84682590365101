"""Real MCP servers for the benchmark of tools: which there are, in which versions, and how they come onto this machine.

Each has a folder of its own, so that old ones can have the old packages that they need. A folder is finished when its
stamp is there; what was broken off is made anew. A server that cannot be installed is told, with why, and left out.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tomllib
import venv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "benchmarks" / "tools_material" / "servers.toml"
PLACE = ROOT / ".venv-servers"

_SECONDS_TO_INSTALL = 600.0
_STAMP = "installed.json"
_MOST_CHARACTERS_OF_WHY = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One line of the list; what its fields mean, the list says."""

    name: str
    package: str
    version: str
    license: str
    command: tuple[str, ...]
    also: tuple[str, ...] = ()
    env: Mapping[str, str]

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Server:
        """As it stands in the list."""
        texts = {key: row[key] for key in ("name", "package", "version", "license")}
        return cls(
            **texts,
            command=tuple(row["command"]),
            also=tuple(row.get("also", ())),
            env=dict(row.get("env", {})),
        )

    def home(self, place: Path) -> Path:
        """Where it is installed, in this version."""
        return place / f"{self.name}-{self.version}"

    def start(self, place: Path, data: Path) -> list[str]:
        """The command that starts it."""
        registry, _, package = self.package.partition(":")
        program, *arguments = (
            word.format(data=data, python=sys.executable) for word in self.command
        )
        home = self.home(place)
        if registry == "npm":
            return ["node", str(home / "node_modules" / package / program), *arguments]
        if registry == "pypi":
            return [str(home / "bin" / program), *arguments]
        return [program, *arguments]

    def variables(self, data: Path) -> dict[str, str]:
        """What it has in its environment beside PATH and the like."""
        return {
            "HOME": str(data),
            **{key: text.format(data=data) for key, text in self.env.items()},
        }


@dataclass(frozen=True, slots=True)
class Absent:
    """A server that is not there, and why."""

    server: Server
    why: str


def read(path: Path = LIST) -> tuple[list[Server], int]:
    """The servers of a list, and how many of them have to be there."""
    listed = tomllib.loads(path.read_text(encoding="utf-8"))
    return [Server.of(row) for row in listed["server"]], int(listed["least"])


def install(
    servers: Sequence[Server], place: Path, say: Callable[[str], None]
) -> tuple[list[Server], list[Absent]]:
    """Put all of them there, one after the other; which are, and which are not."""
    there, absent = [], []
    for number, server in enumerate(servers, 1):
        try:
            is_new = _put(server, place)
        except (subprocess.SubprocessError, OSError) as error:
            absent.append(Absent(server, f"cannot be installed: {_why(error)}"))
            say(f"install {number}/{len(servers)}: {server.name}: {absent[-1].why}")
        else:
            there.append(server)
            if is_new:
                say(f"install {number}/{len(servers)}: {server.name} {server.version}")
    return there, absent


def _put(server: Server, place: Path) -> bool:
    """Whether it was not there yet."""
    registry, _, package = server.package.partition(":")
    if registry not in ("npm", "pypi"):
        return False
    home = server.home(place)
    stamp = {"package": server.package, "version": server.version, "also": server.also}
    wanted = json.dumps({**stamp, "python": sys.version if registry == "pypi" else ""})
    if (home / _STAMP).exists() and (home / _STAMP).read_text(encoding="utf-8") == wanted:
        return False
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    if registry == "npm":
        quiet = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
        npm = ["npm", "install", *quiet, "--prefix", str(home)]
        _run([*npm, f"{package}@{server.version}", *server.also])
    else:
        venv.create(home, with_pip=True)
        pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet"]
        _run([*pip, "--disable-pip-version-check", f"{package}=={server.version}", *server.also])
    (home / _STAMP).write_text(wanted, encoding="utf-8")
    return True


def _run(command: list[str]) -> None:
    subprocess.run(command, check=True, timeout=_SECONDS_TO_INSTALL, capture_output=True, text=True)


def _why(error: BaseException) -> str:
    said = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
    lines = [line.strip() for line in str(said or error).splitlines() if line.strip()]
    told = next((line for line in lines if line.startswith(("ERROR", "npm error"))), lines[-1:])
    return " ".join(told if isinstance(told, list) else [told])[:_MOST_CHARACTERS_OF_WHY]
