"""The table of numbers, against the headers of the machine that runs the tests."""

import re
from pathlib import Path

import pytest

from protocell_guest.kernel import _libc, syscalls
from tests.seccomp_cases import MACHINES

HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")


def test_the_numbers_are_those_of_the_installed_header():
    if not HEADER.exists():
        pytest.skip(f"no {HEADER}: linux-libc-dev is not installed")
    lines = re.findall(r"^#define __NR_(\w+) (\d+)$", HEADER.read_text(), re.MULTILINE)
    header = {name: int(number) for name, number in lines}
    numbers = syscalls.numbers("x86_64")

    assert {name: numbers.get(name, number) for name, number in header.items()} == header
    # A name that only the header knows is a call newer than our table.
    assert min([n for name, n in header.items() if name not in numbers], default=472) > 471


@pytest.mark.parametrize("machine", MACHINES)
def test_no_number_is_given_twice(machine: str):
    numbers = list(syscalls.numbers(machine).values())

    assert sorted(numbers) == sorted(set(numbers))


def test_new_calls_have_one_number_everywhere():
    x86, arm = (
        {name: n for name, n in syscalls.numbers(machine).items() if n >= 424}
        for machine in MACHINES
    )

    assert x86 == arm
    assert sorted(x86.values()) == list(range(424, 472))


def test_the_number_is_that_of_the_machine_we_run_on():
    assert syscalls.number("openat2") == 437
    assert syscalls.number("mount") == {"x86_64": 165, "aarch64": 40}[_libc.machine()]


def test_a_call_that_does_not_exist_is_named():
    with pytest.raises(OSError) as caught:
        syscalls.number("frobnicate")

    assert (
        caught.value.strerror == f"no system call 'frobnicate' in the table for {_libc.machine()}"
    )
