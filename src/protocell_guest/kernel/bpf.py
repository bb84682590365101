"""Classic BPF as seccomp uses it: assemble, check, encode, print, and interpret, without a kernel.

Theory of operation
-------------------
A filter is a list of instructions ``(code, jt, jf, k)`` for a machine with one register A.  The
kernel runs it at each system call over a ``struct seccomp_data``: the call's number, the
architecture, the instruction pointer and six 64-bit arguments.  It can only load 32-bit words of
that structure, mask, compare, jump forward, and return an action.  So every program ends, and a
64-bit argument is two words: ``LOW[n]`` and ``HIGH[n]`` (both machines are little endian).

A conditional jump reaches 255 instructions.  ``Assembler`` works with labels and puts an
unconditional jump, which has 32 bits, where a label is farther away than that.

``check`` refuses what the kernel would refuse (bpf_check_classic and seccomp_check_filter), and it
stands before every encoding and after every decoding.  ``trace`` is the kernel's interpreter in
Python: tests run the filter with it, and libseccomp's filter for the same policy beside it.

Reference: Documentation/networking/filter.rst and userspace-api/seccomp_filter.rst of Linux.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeAlias

# linux/bpf_common.h, linux/filter.h: class | size or operation | mode or source.
LOAD: Final = 0x20  # BPF_LD  | BPF_W   | BPF_ABS: A = the word at k
AND: Final = 0x54  # BPF_ALU | BPF_AND | BPF_K:   A &= k
JUMP: Final = 0x05  # BPF_JMP | BPF_JA:            skip k
JEQ: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K:   A == k
JGT: Final = 0x25  # BPF_JMP | BPF_JGT | BPF_K:   A > k
JGE: Final = 0x35  # BPF_JMP | BPF_JGE | BPF_K:   A >= k
JSET: Final = 0x45  # BPF_JMP | BPF_JSET | BPF_K:  A & k
RETURN: Final = 0x06  # BPF_RET | BPF_K:             the action is k

_BRANCHES: Final = {JEQ: "==", JGT: ">", JGE: ">=", JSET: "&"}
_CODES: Final = frozenset({LOAD, AND, JUMP, RETURN, *_BRANCHES})

# Offsets in struct seccomp_data (linux/seccomp.h): int nr; u32 arch; u64 ip; u64 args[6].
NUMBER: Final = 0
ARCH: Final = 4
LOW: Final = tuple(16 + 8 * index for index in range(6))
HIGH: Final = tuple(offset + 4 for offset in LOW)
_DATA: Final = struct.Struct("<IIQ6Q")

_SOCK_FILTER: Final = struct.Struct("=HBBI")
MAX_INSTRUCTIONS: Final = 4096  # BPF_MAXINSNS
_FARTHEST: Final = 0xFF
_WORD: Final = 0xFFFF_FFFF

_PLACES: Final = {
    NUMBER: "number",
    ARCH: "arch",
    8: "ip.low",
    12: "ip.high",
    **{offset: f"args[{index}].low" for index, offset in enumerate(LOW)},
    **{offset: f"args[{index}].high" for index, offset in enumerate(HIGH)},
}


class BPFError(ValueError):
    """A program that the kernel would not take, or one that cannot be assembled."""


class Instruction(NamedTuple):
    """One ``struct sock_filter``; ``jt`` and ``jf`` are relative to the next instruction."""

    code: int
    jt: int
    jf: int
    k: int


Program: TypeAlias = "tuple[Instruction, ...]"


class _Line(NamedTuple):
    code: int
    k: int
    yes: str | None  # a label; None is the next line
    no: str | None


class Assembler:
    """Collects lines with labels, then lays them out."""

    def __init__(self) -> None:
        self._lines: list[_Line] = []
        self._labels: dict[str, int] = {}

    def label(self, name: str) -> None:
        """The next line's name."""
        if name in self._labels:
            raise BPFError(f"label {name!r} is defined twice")
        self._labels[name] = len(self._lines)

    def load(self, offset: int) -> None:
        """A = the word at this offset of struct seccomp_data."""
        self._add(LOAD, offset)

    def mask(self, bits: int) -> None:
        """A &= bits."""
        self._add(AND, bits)

    def jump(self, target: str) -> None:
        """Go on at a label further down."""
        self._add(JUMP, 0, target)

    def branch(
        self, code: int, value: int, *, yes: str | None = None, no: str | None = None
    ) -> None:
        """Compare A (JEQ, JGT, JGE, JSET); a side without a label goes on with the next line."""
        if code not in _BRANCHES:
            raise BPFError(f"0x{code:02x} is not a conditional jump")
        self._add(code, value, yes, no)

    def give(self, action: int) -> None:
        """End with this action (BPF's "return")."""
        self._add(RETURN, action)

    def assemble(self) -> Program:
        """The program, with far jumps where a label is out of a conditional jump's reach."""
        far = [0] * len(self._lines)  # how many sides of a line need a far jump
        addresses = self._addresses(far)
        # Each round only moves lines farther apart, so no line ever shrinks again and this ends.
        while (needed := [self._count_far(i, addresses) for i in range(len(far))]) != far:
            far, addresses = needed, self._addresses(needed)
        program = tuple(
            instruction
            for i in range(len(self._lines))
            for instruction in self._instructions(i, addresses)
        )
        check(program)
        return program

    def _add(self, code: int, k: int, yes: str | None = None, no: str | None = None) -> None:
        self._lines.append(_Line(code, k, yes, no))

    @staticmethod
    def _addresses(far: Sequence[int]) -> list[int]:
        addresses = [0]
        for extra in far:
            addresses.append(addresses[-1] + 1 + extra)
        return addresses

    def _distance(self, i: int, target: str | None, addresses: Sequence[int]) -> int:
        """From the instruction after line i's own to its target."""
        if target is None:
            return addresses[i + 1] - addresses[i] - 1
        line = self._labels.get(target)
        if line is None:
            raise BPFError(f"label {target!r} is not defined")
        if line <= i:
            raise BPFError(f"label {target!r} lies behind: BPF can only jump forward")
        return addresses[line] - addresses[i] - 1

    def _sides(self, i: int) -> tuple[str | None, str | None]:
        line = self._lines[i]
        return (line.yes, line.no) if line.code in _BRANCHES else (None, None)

    def _count_far(self, i: int, addresses: Sequence[int]) -> int:
        sides = [self._distance(i, side, addresses) for side in self._sides(i)]
        return sum(distance > _FARTHEST for distance in sides)

    def _instructions(self, i: int, addresses: Sequence[int]) -> list[Instruction]:
        line = self._lines[i]
        if line.code == JUMP:
            return [Instruction(JUMP, 0, 0, self._distance(i, line.yes, addresses))]
        if line.code not in _BRANCHES:
            return [Instruction(line.code, 0, 0, line.k)]
        jumps: list[Instruction] = []
        reach: list[int] = []
        for side in self._sides(i):
            distance = self._distance(i, side, addresses)
            if distance > _FARTHEST:
                reach.append(len(jumps))
                jumps.append(Instruction(JUMP, 0, 0, distance - len(jumps) - 1))
            else:
                reach.append(distance)
        return [Instruction(line.code, reach[0], reach[1], line.k), *jumps]


def check(program: Sequence[Instruction]) -> None:
    """Refuse what the kernel would refuse.

    Raises:
        BPFError: and says which instruction, and why.
    """
    if not 0 < len(program) <= MAX_INSTRUCTIONS:
        raise BPFError(f"{len(program)} instructions: the kernel takes 1 to {MAX_INSTRUCTIONS}")
    for at, instruction in enumerate(program):
        problem = _problem(instruction, len(program) - at - 1)
        if problem:
            raise BPFError(f"instruction {at}: {problem}")
    if program[-1].code != RETURN:
        raise BPFError("the last instruction does not return an action")


def _problem(instruction: Instruction, left: int) -> str | None:
    code, jt, jf, k = instruction
    if code not in _CODES:
        return f"code 0x{code:02x} is not allowed in a seccomp filter"
    if not 0 <= k <= _WORD:
        return f"k = {k} does not fit in 32 bits"
    if not (0 <= jt <= _FARTHEST and 0 <= jf <= _FARTHEST):
        return f"a jump of {max(jt, jf)} (or below 0) does not fit in 8 bits"
    if code == LOAD and (k % 4 or k >= _DATA.size):
        return f"offset {k} is not a word of struct seccomp_data"
    if code == JUMP and k >= left:
        return f"a jump of {k} leaves the program"
    if code in _BRANCHES and max(jt, jf) >= left:
        return f"a jump of {max(jt, jf)} leaves the program"
    return None


def encode(program: Sequence[Instruction]) -> bytes:
    """The program as an array of ``struct sock_filter``."""
    check(program)
    return b"".join(_SOCK_FILTER.pack(*instruction) for instruction in program)


def decode(data: bytes) -> Program:
    """The program in an array of ``struct sock_filter``."""
    if len(data) % _SOCK_FILTER.size:
        raise BPFError(f"{len(data)} bytes are no whole number of instructions")
    program = tuple(Instruction(*fields) for fields in _SOCK_FILTER.iter_unpack(data))
    check(program)
    return program


def disassemble(program: Sequence[Instruction]) -> str:
    """The program for people, one instruction a line, with absolute targets."""
    width = len(str(len(program)))
    return "\n".join(
        f"{at:>{width}}: {_text(instruction, at)}" for at, instruction in enumerate(program)
    )


def _text(instruction: Instruction, at: int) -> str:
    code, jt, jf, k = instruction
    if code == LOAD:
        return f"load {_PLACES[k]}"
    if code == AND:
        return f"and 0x{k:x}"
    if code == JUMP:
        return f"jump {at + 1 + k}"
    if code == RETURN:
        return f"return 0x{k:08x}"
    return f"if {_BRANCHES[code]} 0x{k:x} jump {at + 1 + jt} else {at + 1 + jf}"


def trace(
    program: Sequence[Instruction],
    number: int,
    arch: int,
    ip: int = 0,
    args: Sequence[int] = (),
) -> list[int]:
    """The instructions that run for this system call, by position; the last one returns."""
    six = [argument & 0xFFFF_FFFF_FFFF_FFFF for argument in (*args, *[0] * (6 - len(args)))]
    data = _DATA.pack(number & _WORD, arch, ip, *six)
    path: list[int] = []
    register, at = 0, 0
    while True:
        path.append(at)
        code, jt, jf, k = program[at]
        at += 1
        if code == RETURN:
            return path
        if code == LOAD:
            register = int.from_bytes(data[k : k + 4], "little")
        elif code == AND:
            register &= k
        elif code == JUMP:
            at += k
        else:
            at += jt if _holds(code, register, k) else jf


def _holds(code: int, register: int, k: int) -> bool:
    if code == JEQ:
        return register == k
    if code == JGT:
        return register > k
    if code == JGE:
        return register >= k
    return bool(register & k)


def run(
    program: Sequence[Instruction],
    number: int,
    arch: int,
    ip: int = 0,
    args: Sequence[int] = (),
) -> int:
    """The action that the program gives for this system call."""
    return program[trace(program, number, arch, ip, args)[-1]].k
