"""Tasks live from cell to cell, also those of cells that do not await, and an interrupt costs only the cell's own."""

import pytest

from tests.guest.children import RunCells

_STEPS = (
    "import asyncio\nsteps = []\nasync def count(most):\n    for n in range(most):\n"
    "        steps.append(n)\n        await asyncio.sleep(0)\n    return 'through'\n"
)


# -- tasks of cells that do not await ------------------------------------------------------------------


def test_a_task_of_a_cell_that_does_not_await_goes_on_while_others_run(run_cells: RunCells):
    session = run_cells(
        f"{_STEPS}task = asyncio.create_task(count(3), name='counting')\ntask.get_name(), steps",
        "task.done(), task.result(), steps",
        "await task",
    )

    assert session.texts == ["('counting', [])", "(True, 'through', [0, 1, 2])", "'through'"]


def test_a_task_that_waits_goes_on_in_the_first_cell_after_that(run_cells: RunCells):
    session = run_cells(
        f"{_STEPS}import os\nreader, writer = os.pipe()\nready = asyncio.Event()\n"
        "async def wait():\n    await ready.wait()\n    return 'ready'\n"
        "task = asyncio.create_task(wait())",
        "ready.set()\ntask.done()",
        "task.done(), task.result()",
    )

    assert session.texts == [None, "False", "(True, 'ready')"]


def test_a_task_without_end_holds_up_no_cell(run_cells: RunCells):
    session = run_cells(f"{_STEPS}task = asyncio.create_task(count(10 ** 9))", "1", "task.done()")

    assert session.texts == [None, "1", "False"]


def test_tasks_that_asyncio_itself_makes_without_a_loop_are_on_the_same(run_cells: RunCells):
    session = run_cells(
        f"{_STEPS}loop = asyncio.get_event_loop()\nfirst = asyncio.ensure_future(count(1))",
        "second = asyncio.create_task(count(1))",
        "await asyncio.gather(first, second), asyncio.get_running_loop() is loop",
    )

    assert session.texts == [None, None, "(['through', 'through'], True)"]


def test_a_running_loop_still_has_its_own_tasks(run_cells: RunCells):
    session = run_cells(
        f"{_STEPS}async def main():\n    task = asyncio.create_task(count(1))\n"
        "    return await task, task.get_loop() is asyncio.get_running_loop()\nasyncio.run(main())",
        "asyncio.create_task(count(1)).get_loop() is asyncio.get_event_loop()",
        "asyncio.get_event_loop().is_closed()",
    )

    assert session.texts == ["('through', True)", "True", "False"]


@pytest.mark.parametrize(
    "where",
    [
        "import threading\nthread = threading.Thread(target=make)\nthread.start()\nthread.join()",
        "import os\nif os.fork() == 0:\n    make()\n    os._exit(0)\nos.wait();",
    ],
    ids=["thread", "child"],
)
def test_a_thread_or_a_child_of_the_codes_has_no_loop(run_cells: RunCells, where: str):
    session = run_cells(
        f"{_STEPS}def make():\n    made = count(1)\n    try:\n        asyncio.create_task(made)\n"
        "    except RuntimeError as error:\n        print(error, flush=True)\n        made.close()\n"
        f"task = asyncio.create_task(count(1))\n{where}"
    )

    assert (session.stdout, session.stderr) == ("no running event loop\n", "")


def test_a_task_that_fails_unseen_is_told_of_when_it_is_gone(run_cells: RunCells):
    session = run_cells(
        "import asyncio\nasync def fail(): raise ValueError('unseen')\ntask = asyncio.create_task(fail())",
        "1",
        "del task",
    )

    assert session.errors == [None, None, None]
    assert session.stderr.startswith("Task exception was never retrieved\n")
    assert session.stderr.endswith("ValueError: unseen\n")


# -- interrupts ----------------------------------------------------------------------------------------


def test_an_interrupt_of_a_busy_loop_ends_the_cell_wherever_it_hits(run_cells: RunCells):
    begin = "import asyncio, signal\nsignal.signal(signal.SIGPROF, signal.default_int_handler);"
    busy = (
        "n = {}\nsignal.setitimer(signal.ITIMER_PROF, 0.001 + {} / 20_000)\n"
        "while True: await asyncio.sleep(0)"
    )
    session = run_cells(
        begin, *(busy.format(n, n) for n in range(60)), "n, len(asyncio.all_tasks())", "await x"
    )

    assert session.errors[1:61] == ["KeyboardInterrupt"] * 60
    assert session.texts[-2] is None
    assert session.errors[-2:] == ["RuntimeError", "NameError"]
    assert session.stderr == ""


_LOSE = (
    "loop = asyncio.get_running_loop()\n"
    "def lose():\n    loop._ready.clear()\n    raise KeyboardInterrupt\n"
    "loop.call_soon(lose)\n"
)


def test_an_interrupt_that_costs_the_loop_a_step_of_the_cell_ends_the_cell(run_cells: RunCells):
    session = run_cells(
        f"import asyncio\nx = 1\n{_LOSE}"
        "try:\n    while True: await asyncio.sleep(0)\n"
        "finally:\n    await asyncio.sleep(0)\n    print('cleaned', flush=True)",
        "await asyncio.sleep(0, x), len(asyncio.all_tasks())",
    )

    assert session.errors == ["KeyboardInterrupt", None]
    assert session.texts[1] == "(1, 1)"
    assert (session.stdout, session.stderr) == ("cleaned\n", "")


def test_an_interrupt_before_the_cells_first_step_ends_the_cell(run_cells: RunCells):
    session = run_cells(
        "import asyncio\nasync def interrupt(): raise KeyboardInterrupt\nawait asyncio.sleep(0)",
        "asyncio.get_event_loop().create_task(interrupt());",
        "print('never')\nawait asyncio.sleep(0)",
        "await asyncio.sleep(0, 'alive')",
    )

    assert session.errors.count("KeyboardInterrupt") == 1
    assert session.texts[-1] == "'alive'"


def test_a_loop_that_an_interrupt_has_left_half_ended_is_replaced(run_cells: RunCells):
    half = "import threading\nloop._thread_id = threading.get_ident()\nasyncio._set_running_loop(loop);"
    session = run_cells(
        "import asyncio\nloop = asyncio.get_running_loop()\nx = 1\nawait asyncio.sleep(0)",
        half,
        "await asyncio.sleep(0, x), asyncio.get_running_loop() is loop",
        "asyncio.run(asyncio.sleep(0, 2))",
    )

    assert session.errors == [None] * 4
    assert session.texts[2:] == ["(1, False)", "2"]
