"""Sandboxes kept ready, many policies, many threads, many sandboxes at once: all of it bounded, none of it shared."""

import gc
import os
import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from protocell import Environment, Limits, Policy, Sandbox, run_code
from protocell._boxes.zygote import _POOLS_KEPT
from tests.faults.processes import ALONE, inits_of, is_gone, wait_for, zygote_of


def ready(count: int, **more: object) -> Policy:
    """So many kept ready."""
    return Policy(environment=Environment(ready=count), **more)  # type: ignore[arg-type]


def settled(zygote: int, count: int) -> bool:
    """Whether it has so many sandboxes."""
    return len(inits_of(zygote)) == count


def test_none_ready_makes_each_when_it_is_asked_for():
    policy = ready(0)
    for n in range(3):
        assert run_code(f"{n}", policy=policy).text == str(n)

    wait_for(lambda: settled(zygote_of(policy).pid, 0), "the used ones to end")


@pytest.mark.parametrize("count", [1, 5])
def test_as_many_as_asked_for_stand_ready_after_each_use(count: int):
    policy = ready(count)
    zygote = zygote_of(policy)
    for n in range(3):
        assert run_code(f"{n}", policy=policy).text == str(n)
        wait_for(lambda: settled(zygote.pid, count), "the ready ones")


def test_a_ready_sandbox_is_used_and_costs_no_wait():
    policy = ready(2)
    zygote = zygote_of(policy)
    with Sandbox(policy) as sandbox:
        sandbox.run_code("1")
        wait_for(lambda: settled(zygote.pid, 3), "one in use and two ready")
    wait_for(lambda: settled(zygote.pid, 2), "the end of the used one")
    waiting = set(inits_of(zygote.pid))

    with Sandbox(policy) as sandbox:
        sandbox.run_code("1")
        wait_for(lambda: settled(zygote.pid, 3), "one in use and two ready")
        assert len(waiting & set(inits_of(zygote.pid))) == 2
        sandbox.close()
        wait_for(lambda: len(waiting & set(inits_of(zygote.pid))) == 1, "the end of the used one")


def test_what_stands_ready_is_not_bounded_by_the_descriptors_that_one_sandbox_may_have():
    """Descriptors in flight are counted for the user, against the limit of whoever sends more (unix(7))."""
    policy = ready(12, limits=Limits(open_files=32))
    run_code("1", policy=policy)
    zygote = zygote_of(policy).pid
    wait_for(lambda: settled(zygote, 12), "the ready ones")

    with ExitStack() as stack:
        live = [stack.enter_context(Sandbox(policy)) for _ in range(24)]
        texts = [
            sandbox.run_code("import resource; resource.getrlimit(7)").text for sandbox in live
        ]

    assert texts == ["(32, 32)"] * 24


def test_opening_a_sandbox_has_the_next_one_made():
    policy = ready(1)
    with Sandbox(policy):
        wait_for(lambda: settled(zygote_of(policy).pid, 2), "the open one and a ready one")


def test_ready_sandboxes_of_one_policy_are_never_given_to_another():
    for size in (70, 80, 90, 70, 80):
        policy = ready(1, limits=Limits(open_files=size))
        code = "import resource; resource.getrlimit(resource.RLIMIT_NOFILE)[0]"
        assert run_code(code, policy=policy).text == str(size)


def test_many_policies_keep_a_bounded_number_of_sandboxes_ready():
    for size in range(64, 64 + 3 * _POOLS_KEPT):
        run_code("1", policy=ready(2, limits=Limits(open_files=size)))
    zygote = zygote_of(ready(2))

    wait_for(lambda: settled(zygote.pid, 2 * _POOLS_KEPT), "those of the latest policies alone")


def test_more_policies_than_a_zygote_remembers_are_not_mixed_up():
    for size in [*range(64, 134), *range(64, 70), *range(128, 134)]:
        policy = Policy(limits=Limits(open_files=size), environment=Environment(ready=0))
        code = "import resource; resource.getrlimit(resource.RLIMIT_NOFILE)[0]"
        assert run_code(code, policy=policy).text == str(size)


def test_fifty_sandboxes_live_at_once_and_give_all_their_descriptors_back():
    run_code("1", policy=ALONE)
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    sandboxes = [Sandbox(ALONE) for _ in range(50)]
    for number, sandbox in enumerate(sandboxes):
        sandbox.run_code(f"x = {number}")
    during = len(os.listdir("/proc/self/fd"))
    inits = set(inits_of(zygote_of(ALONE).pid))

    assert [sandbox.run_code("x").text for sandbox in sandboxes] == [str(n) for n in range(50)]
    assert (during - before) / 50 <= 6
    assert len(inits) == 50

    for sandbox in sandboxes:
        sandbox.close()
    assert len(os.listdir("/proc/self/fd")) == before
    wait_for(lambda: all(map(is_gone, inits)), "their end")


# -- threads -------------------------------------------------------------------------------------------


def in_threads(count: int, work: Callable[[int], None]) -> None:
    """Do it in so many threads at once; the first error comes out."""
    errors: list[BaseException] = []
    start = threading.Barrier(count)

    def body(number: int) -> None:
        try:
            start.wait(30)
            work(number)
        except BaseException as error:  # noqa: BLE001  (it is raised below)
            errors.append(error)

    threads = [threading.Thread(target=body, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
        assert not thread.is_alive()
    if errors:
        raise errors[0]


@pytest.mark.parametrize("kept", [0, 2])
def test_sixteen_threads_run_code_at_once(kept: int):
    policy = ready(kept)

    def work(number: int) -> None:
        for n in range(3):
            execution = run_code(f"print('{number}')\n{number} + {n}", policy=policy)
            assert (execution.text, execution.logs.stdout) == (str(number + n), [f"{number}\n"])

    in_threads(16, work)


def test_sixteen_threads_start_the_first_sandbox_together():
    policy = Policy(environment=Environment(ready=1, preload=("textwrap",)))

    in_threads(16, lambda number: check(run_code(f"{number}", policy=policy).text, str(number)))


def check(found: object, expected: object) -> None:
    assert found == expected


def test_eight_threads_have_a_sandbox_each():
    def work(number: int) -> None:
        with Sandbox(ready(1)) as sandbox:
            sandbox.run_code(f"x = {number}")
            for n in range(10):
                assert sandbox.run_code("x += 1; x").text == str(number + n + 1)

    in_threads(8, work)


def test_threads_that_open_one_sandbox_together_make_one():
    run_code("1", policy=ALONE)
    wait_for(lambda: settled(zygote_of(ALONE).pid, 0), "the used one to end")
    with Sandbox(ALONE) as sandbox:
        in_threads(8, lambda _: check([entry.name for entry in sandbox.files.list()], []))
        assert settled(zygote_of(ALONE).pid, 1)
