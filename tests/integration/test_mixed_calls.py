"""Code that mixes plain calls of tools with top-level await, as models write it: each is what it is meant to be."""

import asyncio
import inspect
from collections.abc import Iterator

import pytest

from protocell import Environment, Policy, Sandbox
from protocell._broker.runtime import of_this_process
from protocell.tools import Toolset

of_this_process()  # the one loop of the blocking face, which stays until the process ends


async def letters(count: int) -> str:
    """So many letters."""
    return "a" * count


async def same(text: str) -> str:
    """The same text."""
    return text


class Meeting:
    """A tool that answers when somebody else calls it as well."""

    def __init__(self) -> None:
        self._waiting = 0
        self._met = asyncio.Event()

    async def letters(self, count: int) -> str:
        """So many letters."""
        self._waiting += 1
        if self._waiting == 2:
            self._met.set()
        async with asyncio.timeout(20):
            await self._met.wait()
        return "a" * count


@pytest.fixture(params=["ipython", "plain"], scope="module")
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    if request.param == "ipython":
        pytest.importorskip("IPython")
    policy = Policy(environment=Environment(shell=request.param))
    with Sandbox(policy, tools=Toolset.of(letters, same)) as sandbox:
        yield sandbox


# What C functions take, has to be the value and nothing that stands for it.
VALUES = {
    "a text that a regular expression reads": """
        import asyncio, re
        log = letters(2)
        found = re.findall("a", log)
        await asyncio.sleep(0)
        len(found)
    """,
    "a list that becomes JSON": """
        import asyncio, json
        await asyncio.sleep(0)
        len(json.loads(json.dumps([letters(n) for n in range(2)])))
    """,
    "a dict that becomes JSON": """
        import asyncio, json
        await asyncio.sleep(0)
        told = {}
        for n in range(2): told[n] = letters(n)
        len(json.loads(json.dumps(told)))
    """,
    "an argument": """
        import asyncio, json
        await asyncio.sleep(0)
        len(json.loads(json.dumps(letters(2))))
    """,
    "a variable of a coroutine that is gathered": """
        import asyncio, re
        async def one(n):
            text = letters(n)
            return len(re.findall("a", text))
        (await asyncio.gather(*(one(n) for n in range(3))))[2]
    """,
    "what a coroutine returns": """
        import asyncio, json
        async def one(n): return letters(n)
        len(json.loads(json.dumps(await asyncio.gather(one(1), one(2)))))
    """,
    "a list of arguments for further calls": """
        import asyncio, re
        ids = letters(2)
        found = re.findall("a", ids)
        len(await asyncio.gather(*(letters(n) for n, _ in enumerate(ids))))
    """,
    "a dict in a cell that gathers coroutines": """
        import asyncio, json
        async def one(n): return n
        told = {n: letters(n) for n in range(3)}
        await asyncio.gather(*(one(n) for n in (1, 2)))
        len(json.loads(json.dumps(told[2])))
    """,
    "an argument of another call": """
        calls = [letters(2)]
        said = same(calls[0])
        told = [await call for call in calls]
        min(len(told[0]), len(said))
    """,
}


@pytest.mark.parametrize("what", VALUES)
def test_what_is_used_as_a_value_is_one(sandbox: Sandbox, what: str):
    execution = sandbox.run_code(inspect.cleandoc(VALUES[what]))

    assert execution.text == "2", execution.error


AWAITABLES = {
    "awaited at once": "len(await letters(2))",
    "stored, then awaited": "call = letters(2)\nlen(await call)",
    "stored, then gathered": """
        import asyncio
        one = letters(1); other = letters(2)
        max(map(len, await asyncio.gather(one, other)))
    """,
    "a list that is gathered": """
        import asyncio
        calls = [letters(n) for n in range(3)]
        max(map(len, await asyncio.gather(*calls)))
    """,
    "a list made by hand": """
        import asyncio
        calls = []
        for n in range(3): calls.append(letters(n))
        max(map(len, await asyncio.gather(*calls)))
    """,
    "a generator": """
        import asyncio
        max(map(len, await asyncio.gather(*(letters(n) for n in range(3)))))
    """,
    "a lambda": """
        import asyncio
        max(map(len, await asyncio.gather(*map(lambda n: letters(n), range(3)))))
    """,
    "a helper's": """
        import asyncio
        def helper(n): return letters(n)
        max(map(len, await asyncio.gather(helper(1), helper(2))))
    """,
    "a dict of calls": """
        calls = {n: letters(n) for n in range(3)}
        told = {n: await call for n, call in calls.items()}
        max(map(len, told.values()))
    """,
    "a list of calls, awaited in turn": """
        calls = [letters(n) for n in range(3)]
        told = [await call for call in calls]
        max(map(len, told))
    """,
    "a list of calls with a setting": """
        import asyncio
        calls = [letters(1), letters(2)]
        max(map(len, await asyncio.gather(*calls, return_exceptions=True)))
    """,
    "the values of a dict": """
        import asyncio
        calls = {n: letters(n) for n in range(3)}
        max(map(len, await asyncio.gather(*calls.values())))
    """,
    "a loop that awaits": """
        calls = [letters(n) for n in range(3)]
        told = []
        for call in calls:
            told.append(await call)
        max(map(len, told))
    """,
    "as they are completed": """
        import asyncio
        told = []
        for call in asyncio.as_completed([letters(1), letters(2)]): told.append(await call)
        max(map(len, told))
    """,
    "tasks of a group": """
        import asyncio
        async with asyncio.TaskGroup() as group:
            task = group.create_task(letters(2))
        len(task.result())
    """,
    "with a time limit": "import asyncio\nlen(await asyncio.wait_for(letters(2), 9))",
}


@pytest.mark.parametrize("what", AWAITABLES)
def test_what_is_awaited_can_be(sandbox: Sandbox, what: str):
    execution = sandbox.run_code(inspect.cleandoc(AWAITABLES[what]))

    assert execution.text == "2", execution.error


@pytest.mark.parametrize("what", ["a list that is gathered", "a generator", "a helper's"])
def test_what_is_gathered_overlaps(what: str):
    with Sandbox(tools=Toolset.of(Meeting().letters)) as sandbox:
        execution = sandbox.run_code(inspect.cleandoc(AWAITABLES[what]))

    assert execution.text == "2", execution.error
