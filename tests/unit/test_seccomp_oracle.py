"""libseccomp as oracle: it compiles the same table, and both filters must give the same answers."""

import importlib
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import product
from types import ModuleType

import pytest

from protocell_guest.kernel import bpf, seccomp, syscalls
from protocell_guest.kernel.syscall_rules import POLICY, Check
from tests.seccomp_cases import MACHINES, interesting_args

_WORD = 0xFFFF_FFFF
Comparison = tuple[int, int, int]  # argument, mask, value


@pytest.fixture(scope="module")
def library() -> ModuleType:
    try:
        return importlib.import_module("pyseccomp")
    except (ImportError, RuntimeError) as error:  # RuntimeError: the shared library is missing
        sentence = f"no oracle: {error}; install Debian's libseccomp2 and PyPI's pyseccomp"
        if os.environ.get("PROTOCELL_MUST_WORK") == "1":
            pytest.fail(sentence, pytrace=False)
        pytest.skip(sentence)


def blocks(values: Iterable[int], mask: int) -> Iterator[tuple[int, int]]:
    """Cover what is in none of ``values`` by (mask, value) pairs that do not overlap.

    libseccomp takes one comparison for each argument of a rule, so "not in a set" has to be many
    rules, each with a masked comparison: the branches where a binary tree of the bits is left.
    """
    bits = [1 << bit for bit in reversed(range(32)) if mask >> bit & 1]

    def walk(depth: int, prefix: int, left: frozenset[int]) -> Iterator[tuple[int, int]]:
        if not left:
            yield sum(bits[:depth]), prefix
        elif depth < len(bits):
            bit = bits[depth]
            yield from walk(depth + 1, prefix, frozenset(v for v in left if not v & bit))
            yield from walk(depth + 1, prefix | bit, frozenset(v for v in left if v & bit))

    return walk(0, 0, frozenset(values))


def alternatives(check: Check) -> list[Comparison]:
    if check.negated:
        return [(check.argument, mask, v) for mask, v in blocks(check.values, check.mask)]
    return [(check.argument, check.mask, value) for value in check.values]


def numbers_for(library: ModuleType, machine: str) -> Mapping[str, int]:
    """How the oracle wants each call to be named: the native number, or its own code for it."""
    native = machine == "x86_64" == os.uname().machine
    if native:
        return syscalls.numbers(machine)
    ours = {"x86_64": library.Arch.X86_64, "aarch64": library.Arch.AARCH64}[machine]
    return {
        name: library.resolve_syscall(library.Arch.NATIVE, name)
        for name, number in syscalls.numbers(machine).items()
        if library.resolve_syscall(ours, name) == number
    }


def oracle(library: ModuleType, machine: str, names: Mapping[str, int]) -> bpf.Program:
    arch = {"x86_64": library.Arch.X86_64, "aarch64": library.Arch.AARCH64}[machine]
    compiled = library.SyscallFilter(library.ALLOW)
    compiled.set_attr(library.Attr.ACT_BADARCH, library.KILL_PROCESS)
    if not compiled.exist_arch(arch):
        compiled.add_arch(arch)
        compiled.remove_arch(library.Arch.NATIVE)
    for rule in POLICY:
        if rule.name in names:
            for comparisons in product(*map(alternatives, rule.checks)):
                terms = [library.Arg(a, library.MASKED_EQ, m, v) for a, m, v in comparisons]
                compiled.add_rule(library.ERRNO(rule.errno), names[rule.name], *terms)
    with os.fdopen(os.memfd_create("oracle"), "w+b") as file:
        compiled.export_bpf(file)
        file.seek(0)
        return bpf.decode(file.read())


@cache
def both(library: ModuleType, machine: str) -> tuple[bpf.Program, bpf.Program, tuple[str, ...]]:
    names = numbers_for(library, machine)
    return (
        bpf.decode(seccomp.build(machine)),
        oracle(library, machine, names),
        tuple(names),
    )


@pytest.mark.parametrize("machine", MACHINES)
def test_both_filters_give_the_same_answer(library: ModuleType, machine: str):
    own, theirs, names = both(library, machine)
    arch = syscalls.AUDIT_ARCH[machine]
    differences = []
    for name in names:
        number = syscalls.numbers(machine)[name]
        for args in [*interesting_args(name), (_WORD,) * 6, tuple(range(6))]:
            mine = bpf.run(own, number, arch, args=args)
            other = bpf.run(theirs, number, arch, args=args)
            if mine != other:
                differences.append((name, args, hex(mine), hex(other)))

    assert differences == []


@pytest.mark.parametrize("machine", MACHINES)
def test_both_filters_kill_foreign_architectures(library: ModuleType, machine: str):
    own, theirs, _ = both(library, machine)

    for arch in (0x40000003, 0x40000028, 0):
        assert bpf.run(own, 1, arch) == bpf.run(theirs, 1, arch) == seccomp.KILL_PROCESS


@pytest.mark.parametrize("machine", MACHINES)
def test_the_oracle_knows_most_calls(library: ModuleType, machine: str):
    """Else the comparison above would be about nothing."""
    _, _, names = both(library, machine)

    assert len(names) >= 300
    assert {rule.name for rule in POLICY if rule.checks} - set(names) == set()


def test_the_oracle_s_numbers_are_ours(library: ModuleType):
    for machine, arch in (("x86_64", library.Arch.X86_64), ("aarch64", library.Arch.AARCH64)):
        theirs = {name: library.resolve_syscall(arch, name) for name in syscalls.numbers(machine)}
        known = {name: number for name, number in theirs.items() if number >= 0}

        assert len(known) >= 300
        assert known == {name: syscalls.numbers(machine)[name] for name in known}


def test_the_cover_of_a_set_is_complete_and_disjoint():
    pairs = list(blocks((1, 2, 10), 0xF))

    hits = [sum(value & mask == prefix for mask, prefix in pairs) for value in range(16)]
    assert hits == [int(value not in (1, 2, 10)) for value in range(16)]
