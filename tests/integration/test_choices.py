"""What the maker and the user of a sandbox choose: its folder, its time, which context, who is told."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from protocell import AsyncSandbox, Policy, Sandbox
from protocell.errors import ClosedError, PolicyError, UnsupportedError
from tests.integration.running import QUIET, fine, limited

# -- which context -------------------------------------------------------------------------------------


def test_a_context_of_another_sandbox_is_refused_everywhere():
    with Sandbox(QUIET) as mine, Sandbox(QUIET) as other:
        mine.run_code("x = 1")
        other.run_code("x = 2")
        calls: list[Callable[[Any], object]] = [
            lambda context: mine.run_code("x", context=context),
            lambda context: next(iter(mine.stream("x", context=context))),
            mine.restart_code_context,
            mine.remove_code_context,
        ]
        for call in calls:
            with pytest.raises(PolicyError, match="which belongs to another sandbox"):
                call(other.context)
            with pytest.raises(PolicyError, match="context is 7; allowed is a context of this"):
                call(7)
        assert (mine.run_code("x").text, other.run_code("x").text) == ("1", "2")


def test_a_context_can_be_named_by_its_id():
    with Sandbox(QUIET) as sandbox:
        second = sandbox.create_code_context()
        sandbox.run_code("x = 2", context=second.id)
        assert sandbox.run_code("'x' in globals()", context="default").text == "False"
        assert second.run_code("x").text == "2"
        with pytest.raises(ClosedError, match="no context 'nobody'"):
            sandbox.run_code("x", context="nobody")


def test_the_same_holds_in_asyncio():
    async def main() -> None:
        async with AsyncSandbox(QUIET) as mine, AsyncSandbox(QUIET) as other:
            with pytest.raises(PolicyError, match="which belongs to another sandbox"):
                await mine.run_code("1", context=other.context)
            assert (await mine.run_code("1", context="default")).text == "1"

    asyncio.run(main())


# -- time ----------------------------------------------------------------------------------------------


def test_a_sandbox_can_be_given_no_end_again():
    with Sandbox(QUIET, timeout=300) as sandbox:
        sandbox.run_code("x = 1")
        sandbox.set_timeout(0.5)
        sandbox.set_timeout(None)
        assert sandbox.get_info().end_at is None
        assert fine(sandbox.run_code("import time; time.sleep(0.7); x")).text == "1"


def test_a_time_that_cannot_be_kept_changes_nothing():
    with Sandbox(Policy(isolation="process")) as sandbox:
        with pytest.raises(UnsupportedError, match="timeouts of a sandbox need"):
            sandbox.set_timeout(5)
        assert sandbox.get_info().end_at is None
        with pytest.raises(PolicyError, match="timeout is -1"):
            sandbox.set_timeout(-1)


# -- where ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "cwd, found",
    [
        ("proj", "/home/user/proj"),
        ("a/b", "/home/user/a/b"),
        ("~/proj", "/home/user/proj"),
        ("~", "/home/user"),
        ("/home/user/proj/", "/home/user/proj"),
    ],
)
def test_a_sandbox_begins_in_a_folder_that_is_made_for_it(cwd: str, found: str):
    with Sandbox(QUIET, cwd=cwd) as sandbox:
        assert fine(sandbox.run_code("import os\nos.getcwd()")).text == repr(found)
        assert sandbox.commands.run("pwd").stdout == f"{found}\n"
        assert sandbox.context.cwd == found
        sandbox.run_code(f"os.chdir('/'); os.system('rm -rf {found}'); os._exit(1)")
        assert fine(sandbox.run_code("import os\nos.getcwd()")).text == repr(found)


def test_a_folder_that_is_not_there_is_refused_with_what_to_do():
    with Sandbox(QUIET) as sandbox:
        with pytest.raises(PolicyError, match=r"no such folder .*; make it before, with files\."):
            sandbox.create_code_context(cwd="proj")
        sandbox.files.make_dir("proj")
        assert sandbox.create_code_context(cwd="~/proj").cwd == "/home/user/proj"
        assert sandbox.commands.run("pwd", cwd="~/proj").stdout == "/home/user/proj\n"


# -- what is kept, and how it looks --------------------------------------------------------------------


@pytest.mark.parametrize("metadata", [{"a": object()}, {1: "a"}, "text", 7, {"a": None}])
def test_odd_metadata_is_refused(metadata: Any):
    with pytest.raises(PolicyError, match="metadata"):
        Sandbox(QUIET, metadata=metadata)


def test_sandboxes_and_commands_say_what_they_are():
    with Sandbox(QUIET) as sandbox:
        name = sandbox.sandbox_id
        assert repr(sandbox) == f"Sandbox(id='{name}', running, 1 contexts)"
        handle = sandbox.commands.run("sleep 0.01", background=True)
        assert repr(handle) == "CommandHandle('sleep 0.01', not waited for)"
        handle.wait()
        assert repr(handle) == "CommandHandle('sleep 0.01', ended)"
    assert repr(sandbox) == f"Sandbox(id='{name}', closed)"
    assert repr(AsyncSandbox(QUIET)).startswith("AsyncSandbox(id='")


# -- who is told ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["on_stdout", "on_stderr", "on_result", "on_error"])
def test_what_cannot_be_called_is_refused_before_anything_runs(name: str):
    async def told(_what: object) -> None:
        pass

    with Sandbox(QUIET) as sandbox:
        for odd, why in ((5, f"{name} is 5"), (told, f"{name} is a coroutine function")):
            wrong: dict[str, Any] = {name: odd}
            with pytest.raises(PolicyError, match=why):
                sandbox.run_code("open('ran', 'w')", **wrong)
            if name in ("on_stdout", "on_stderr"):
                with pytest.raises(PolicyError, match=why):
                    sandbox.commands.run("touch ran", background=False, **wrong)
        assert not sandbox.files.exists("ran")


def test_coroutine_functions_are_awaited_in_order_in_asyncio():
    told: list[str] = []
    errors: list[str] = []

    class Told:
        async def __call__(self, text: str) -> None:
            await asyncio.sleep(0)
            errors.append(text)

    async def listen(what: object) -> None:
        await asyncio.sleep(0)
        told.append(f"{what}")

    async def main() -> None:
        async with AsyncSandbox(QUIET) as sandbox:
            code = "import sys\nprint('a', flush=True)\nprint('b', file=sys.stderr)\n1/0"
            execution = await sandbox.run_code(
                code, on_stdout=listen, on_stderr=Told(), on_error=lambda error: listen(error.name)
            )
            assert execution.status == "error"
            assert ("".join(told), "".join(errors)) == ("a\nZeroDivisionError", "b\n")
            told.clear()
            await sandbox.commands.run("echo a; echo b", on_stdout=listen)
            assert "".join(told) == "a\nb\n"
            told.clear()
            handle = await sandbox.commands.run("echo c >&2", background=True, on_stderr=listen)
            assert (await handle.wait()).status == "ok"
            assert told == ["c\n"]
            with pytest.raises(PolicyError, match="on_stdout is 5"):
                await sandbox.run_code("1", on_stdout=5)  # type: ignore[arg-type]
            with pytest.raises(PolicyError, match="on_stdout is 5"):
                await sandbox.commands.run("true", on_stdout=5)  # type: ignore[call-overload]

    asyncio.run(main())


def test_a_coroutine_callback_that_raises_stops_the_code():
    async def fail(_text: str) -> None:
        await asyncio.sleep(0)
        raise LookupError("mine")

    async def main() -> None:
        async with AsyncSandbox(limited(grace_seconds=5)) as sandbox:
            await sandbox.run_code("x = 1")
            with pytest.raises(LookupError, match="mine"):
                await sandbox.run_code("print('a')\nwhile True: pass", on_stdout=fail)
            assert (await sandbox.run_code("x")).text == "1"
            with pytest.raises(LookupError, match="mine"):
                await sandbox.commands.run("echo a; sleep 1000", on_stdout=fail)

    asyncio.run(main())
