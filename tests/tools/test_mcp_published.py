"""Servers that others have published, as they come from the package index."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.tools.mcp_help import nothing_left_behind, opened

__all__ = ["nothing_left_behind"]


def test_the_reference_server_for_time_tells_it():
    pytest.importorskip("mcp_server_time")

    async def main() -> None:
        async with opened([sys.executable, "-m", "mcp_server_time"], "time") as session:
            tools = {tool.name: tool for tool in await session.source.tools()}
            assert set(tools) == {"get_current_time", "convert_time"}
            now = await session.value("get_current_time", timezone="Europe/Berlin")
            assert now["timezone"] == "Europe/Berlin"
            failed = await session.error("get_current_time", timezone="Nowhere/Land")
            assert (failed.kind, failed.tool) == ("tool", "get_current_time")

    asyncio.run(main())


def test_the_reference_server_for_git_reads_a_repository(tmp_path: Path):
    git = pytest.importorskip("git")
    pytest.importorskip("mcp_server_git")
    with git.Repo.init(tmp_path) as repository:
        (tmp_path / "a.txt").write_text("a\n")
        repository.index.add(["a.txt"])
        repository.index.commit("The first")

    async def main() -> None:
        command = [sys.executable, "-m", "mcp_server_git", "--repository", str(tmp_path)]
        async with opened(command, "git") as session:
            assert "The first" in str(await session.value("git_log", repo_path=str(tmp_path)))
            failed = await session.error("git_status", repo_path="/")
            assert failed.kind == "tool"

    asyncio.run(main())
