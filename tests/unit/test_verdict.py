"""Status and sentence of an execution, from what a turn saw of it."""

import signal
from dataclasses import replace

import pytest

from protocell._boxes.box import Exit
from protocell._running.messages import ErrorMessage
from protocell._running.outcome import End, Outcome, Stop
from protocell._running.verdict import Terms, judge, judge_command
from protocell.limits import MIB, Limits

TERMS = Terms(limits=Limits(memory_bytes=200 * MIB), wall_seconds=30.0, killed=False)
LIMIT = "it needed more memory than its limit memory_bytes, 200 MiB"
KILLED = f"1 of the code's processes ended for want of memory: {LIMIT}"
AT_A_LINE = 'Traceback (most recent call last):\n  File "<cell 1>", line 1, in <module>\n    {}\n'


def raised(name: str, value: str, traceback: str, *, peak: int) -> Outcome:
    error = ErrorMessage(name=name, value=value, traceback=traceback)
    return Outcome(error=error, usage={"peak_memory": peak})


@pytest.mark.parametrize("peak", [13 * MIB, 199 * MIB])
@pytest.mark.parametrize(
    "name, value, shown",
    [
        ("MemoryError", "", "MemoryError"),
        ("MemoryError", "Unable to allocate 74.5 GiB for an array", "MemoryError"),
        ("OSError", "[Errno 12] Cannot allocate memory", "OSError [Errno 12]"),
    ],
)
def test_an_allocation_that_failed_is_the_limit_on_memory(
    name: str, value: str, shown: str, peak: int
):
    outcome = raised(name, value, AT_A_LINE.format("x = make()"), peak=peak)

    assert judge(outcome, TERMS) == ("out_of_memory", f"an allocation failed with {shown}: {LIMIT}")


@pytest.mark.parametrize(
    "name, value, traceback",
    [
        ("MemoryError", "joke", AT_A_LINE.format("raise MemoryError('joke')")),
        ("MemoryError", "", AT_A_LINE.format("raise MemoryError")),
        ("OSError", "[Errno 12] joke", AT_A_LINE.format("raise OSError(12, 'joke')")),
        ("MemoryError", "", "MemoryError\n"),
        (
            "MemoryError",
            "Parser stack overflowed - Python source too complex to parse",
            '  File "<cell 1>", line 1\nMemoryError\n',
        ),
        ("OSError", "[Errno 2] No such file", AT_A_LINE.format("open('x')")),
        ("ValueError", "[Errno 12]", AT_A_LINE.format("f()")),
    ],
)
def test_an_error_of_another_origin_is_not_the_limit_on_memory(
    name: str, value: str, traceback: str
):
    assert judge(raised(name, value, traceback, peak=13 * MIB), TERMS) == (
        "error",
        f"the code raised {name}",
    )


def test_whatever_words_an_error_has_it_is_the_limit_where_the_memory_was_used():
    outcome = raised("MemoryError", "", AT_A_LINE.format("raise MemoryError"), peak=150 * MIB)

    assert judge(outcome, TERMS)[0] == "out_of_memory"


@pytest.mark.parametrize(
    "outcome, status, why",
    [
        (
            Outcome(stop=Stop.DEADLINE, end=End.STOPPED, exit=Exit("host", 9, {"oom_kills": 1})),
            "timeout",
            (
                "the code ran longer than its limit wall_seconds, 30 s; it went on after an interrupt, "
                "so all of its processes were ended"
            ),
        ),
        (
            Outcome(stop=Stop.DEADLINE, usage={"oom_kills": 1}),
            "timeout",
            (
                "the code ran longer than its limit wall_seconds, 30 s; it was interrupted "
                "(KeyboardInterrupt) and came to its end"
            ),
        ),
        (
            Outcome(end=End.GONE, exit=Exit(None, signal.SIGSEGV, {"oom_kills": 1})),
            "killed",
            "the interpreter was ended by SIGSEGV (Segmentation fault)",
        ),
    ],
    ids=["killed at the deadline", "interrupted at the deadline", "a crash"],
)
def test_children_that_ended_for_want_of_memory_are_told_beside_another_cause(
    outcome: Outcome, status: str, why: str
):
    assert judge(outcome, TERMS) == (status, f"{why}; {KILLED}")


def test_an_end_for_want_of_memory_says_so_once():
    outcome = Outcome(end=End.GONE, exit=Exit("memory", signal.SIGKILL, {"oom_kills": 2}))

    assert judge(outcome, TERMS) == ("out_of_memory", f"the code was ended: {LIMIT}")


# -- commands ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status, kills, found",
    [
        (0, 0, ("ok", "the command ended with exit code 0", 0)),
        (3 << 8, 0, ("error", "the command ended with exit code 3", 3)),
        (0, 1, ("ok", f"the command ended with exit code 0; {KILLED}", 0)),
        (137 << 8, 1, ("out_of_memory", f"the command ended with exit code 137; {KILLED}", 137)),
    ],
)
def test_want_of_memory_in_a_command_is_told(status: int, kills: int, found: tuple[str, str, int]):
    how = Exit(None, status, {"oom_kills": kills})

    assert judge_command(Outcome(end=End.GONE, exit=how, usage=how.usage), TERMS) == found


def test_want_of_memory_is_told_with_a_command_that_was_stopped():
    how = Exit(None, signal.SIGINT, {"oom_kills": 1})
    outcome = Outcome(end=End.GONE, exit=how, usage=how.usage, stop=Stop.CALLER)
    status, reason, exit_code = judge_command(outcome, TERMS)

    assert (status, exit_code) == ("cancelled", 130)
    assert reason.endswith(f"ended with exit code 130; {KILLED}")


def test_an_interpreter_that_memory_ended_right_after_the_code_had_come_to_its_end_is_told():
    outcome = Outcome(exit=Exit("memory", signal.SIGKILL, {}))

    assert judge(outcome, TERMS) == (
        "out_of_memory",
        f"the code ran to its end; then the code was ended: {LIMIT}",
    )


@pytest.mark.parametrize(
    "copies, counted",
    [
        (0, ""),
        (1, " (what its checkpoint held is counted)"),
        (3, " (what its 3 checkpoints held is counted)"),
    ],
)
def test_checkpoints_that_took_part_in_the_memory_are_told(copies: int, counted: str):
    outcome = Outcome(end=End.GONE, exit=Exit("memory", signal.SIGKILL, {}))

    assert judge(outcome, replace(TERMS, copies=copies)) == (
        "out_of_memory",
        f"the code was ended: {LIMIT}{counted}",
    )
