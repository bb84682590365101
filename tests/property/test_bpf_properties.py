"""Properties of the assembler and of the filter, on programs and calls that nobody thought of."""

from hypothesis import given, settings
from hypothesis import strategies as st

from protocell_guest.kernel import bpf, seccomp, syscalls
from protocell_guest.kernel.syscall_rules import POLICY
from tests.seccomp_cases import MACHINES, expected, interesting_args

WORDS = st.integers(0, 0xFFFF_FFFF)
LONGS = st.integers(0, 0xFFFF_FFFF_FFFF_FFFF)
PROGRAMS = {machine: bpf.decode(seccomp.build(machine)) for machine in MACHINES}
NAMES = sorted({rule.name for rule in POLICY if rule.checks})

# One line of a random program: it is given a way to draw a label further down.
Line = tuple[str, int, int, int]
LINES = st.lists(
    st.tuples(
        st.sampled_from(["load", "mask", "jump", "branch", "give"]),
        st.integers(0, 15),
        st.one_of(st.integers(0, 8), WORDS),
        st.integers(1, 400),
    ),
    min_size=1,
    max_size=120,
)
BRANCHES = (bpf.JEQ, bpf.JGT, bpf.JGE, bpf.JSET)


def assemble(lines: list[Line]) -> bpf.Program:
    """Write random lines, each with a label; a target is so many lines further down."""
    assembler = bpf.Assembler()
    for at, line in enumerate(lines):
        assembler.label(f"line {at}")
        write(assembler, at, line, len(lines))
    assembler.label(f"line {len(lines)}")
    assembler.give(0)
    return assembler.assemble()


def write(assembler: bpf.Assembler, at: int, line: Line, end: int) -> None:
    kind, small, word, skip = line
    target, other = f"line {min(at + skip, end)}", f"line {min(at + 1 + small, end)}"
    if kind == "load":
        assembler.load(4 * small)
    elif kind == "mask":
        assembler.mask(word)
    elif kind == "jump":
        assembler.jump(target)
    elif kind == "branch":
        assembler.branch(BRANCHES[small % 4], word, yes=target, no=other)
    else:
        assembler.give(word)


def read_line_by_line(lines: list[Line], number: int, arch: int, args: tuple[int, ...]) -> int:
    """What the lines mean, computed without addresses or encoding."""
    halves = [(a & 0xFFFF_FFFF, a >> 32) for a in (0, *args)]
    words = [number, arch, *(half for pair in halves for half in pair)]
    register, at = 0, 0
    while at < len(lines):
        kind, small, word, skip = lines[at]
        following = at + 1
        if kind == "give":
            return word
        if kind == "load":
            register = words[small]
        elif kind == "mask":
            register &= word
        elif kind == "jump":
            following = at + skip
        else:
            answers = (register == word, register > word, register >= word, register & word)
            following = at + skip if answers[small % 4] else at + 1 + small
        at = following
    return 0


@given(lines=LINES)
def test_an_assembled_program_survives_encoding_and_decoding(lines: list[Line]):
    program = assemble(lines)

    assert bpf.decode(bpf.encode(program)) == program


@given(lines=LINES, number=WORDS, arch=WORDS, args=st.tuples(*[LONGS] * 6))
def test_an_assembled_program_does_what_its_lines_say(
    lines: list[Line], number: int, arch: int, args: tuple[int, ...]
):
    program = assemble(lines)

    assert bpf.run(program, number, arch, 0, args) == read_line_by_line(lines, number, arch, args)


@given(data=st.binary(max_size=200))
def test_garbage_is_refused_or_is_a_program(data: bytes):
    try:
        program = bpf.decode(data)
    except bpf.BPFError:
        return

    assert bpf.encode(program) == data
    assert bpf.trace(program, 0, 0)[-1] < len(program)


@settings(max_examples=500)
@given(
    machine=st.sampled_from(MACHINES),
    number=st.one_of(st.integers(0, 600), st.integers(0, 0xFFFF_FFFF)),
    ip=LONGS,
    args=st.tuples(*[LONGS] * 6),
)
def test_the_filter_does_what_the_table_says(
    machine: str, number: int, ip: int, args: tuple[int, ...]
):
    action = bpf.run(PROGRAMS[machine], number, syscalls.AUDIT_ARCH[machine], ip, args)

    assert action == expected(machine, number, args)


@settings(max_examples=1000)
@given(
    machine=st.sampled_from(MACHINES),
    name=st.sampled_from(NAMES),
    garbage=st.tuples(*[WORDS] * 6),
    data=st.data(),
)
def test_calls_with_checked_arguments_do_what_the_table_says(
    machine: str, name: str, garbage: tuple[int, ...], data: st.DataObject
):
    near = data.draw(st.sampled_from(interesting_args(name)))
    args = tuple((high << 32) ^ low for high, low in zip(garbage, near, strict=True))
    number = syscalls.numbers(machine)[name]

    action = bpf.run(PROGRAMS[machine], number, syscalls.AUDIT_ARCH[machine], 0, args)

    assert action == expected(machine, number, args)


@given(arch=WORDS, number=WORDS, args=st.tuples(*[LONGS] * 6))
def test_every_foreign_architecture_is_killed(arch: int, number: int, args: tuple[int, ...]):
    for machine, program in PROGRAMS.items():
        if arch != syscalls.AUDIT_ARCH[machine]:
            assert bpf.run(program, number, arch, 0, args) == seccomp.KILL_PROCESS
