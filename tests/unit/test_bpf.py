"""The assembler, its checks, and the interpreter that the other tests rely on."""

import pytest

from protocell_guest.kernel import bpf
from protocell_guest.kernel.bpf import (
    AND,
    JEQ,
    JGE,
    JGT,
    JSET,
    JUMP,
    LOAD,
    RETURN,
    Assembler,
    BPFError,
    Instruction,
)

ARCH = 0xC000003E
DONE = Instruction(RETURN, 0, 0, 0)


def decides(code: int, value: int, *, register: int) -> bool:
    assembler = Assembler()
    assembler.load(bpf.NUMBER)
    assembler.branch(code, value, yes="held")
    assembler.give(0)
    assembler.label("held")
    assembler.give(1)
    return bpf.run(assembler.assemble(), register, ARCH) == 1


def refusal(*instructions: Instruction) -> str:
    with pytest.raises(BPFError) as caught:
        bpf.check(instructions)
    return str(caught.value)


def test_a_small_filter_encodes_to_the_bytes_of_struct_sock_filter():
    assembler = Assembler()
    assembler.load(bpf.ARCH)
    assembler.branch(JEQ, ARCH, no="foreign")
    assembler.give(0x7FFF0000)
    assembler.label("foreign")
    assembler.give(0x80000000)

    encoded = bpf.encode(assembler.assemble())

    assert encoded.hex(" ", 8) == (
        "2000000004000000 150000013e0000c0 060000000000ff7f 0600000000000080"
    )


def test_decoding_gives_back_what_was_encoded():
    program = (Instruction(LOAD, 0, 0, 16), Instruction(JSET, 0, 1, 0x80), DONE, DONE)

    assert bpf.decode(bpf.encode(program)) == program


def test_bytes_that_are_no_whole_instructions_are_refused():
    with pytest.raises(BPFError, match=r"^9 bytes are no whole number of instructions$"):
        bpf.decode(bytes(9))


def test_the_disassembly_shows_places_and_absolute_targets():
    assembler = Assembler()
    assembler.load(bpf.LOW[1])
    assembler.mask(0xFF)
    assembler.branch(JGT, 3, yes="much")
    assembler.jump("end")
    assembler.label("much")
    assembler.load(bpf.HIGH[5])
    assembler.label("end")
    assembler.give(0x00050001)

    assert bpf.disassemble(assembler.assemble()) == (
        "0: load args[1].low\n"
        "1: and 0xff\n"
        "2: if > 0x3 jump 4 else 3\n"
        "3: jump 5\n"
        "4: load args[5].high\n"
        "5: return 0x00050001"
    )


@pytest.mark.parametrize(
    "code,value,register,held",
    [
        (JEQ, 5, 5, True),
        (JEQ, 5, 6, False),
        (JGT, 5, 6, True),
        (JGT, 5, 5, False),
        (JGE, 5, 5, True),
        (JGE, 5, 4, False),
        (JSET, 6, 2, True),
        (JSET, 6, 9, False),
        # Unsigned, as in the kernel: -1 is the largest number.
        (JGT, 0x7FFFFFFF, -1, True),
    ],
)
def test_a_branch_compares_the_register(code: int, value: int, register: int, held: object):
    assert decides(code, value, register=register) is held


def test_a_mask_cuts_the_register():
    assembler = Assembler()
    assembler.load(bpf.LOW[0])
    assembler.mask(0xF)
    assembler.branch(JEQ, 3, no="other")
    assembler.give(1)
    assembler.label("other")
    assembler.give(0)

    assert bpf.run(assembler.assemble(), 0, ARCH, args=(0xF3,)) == 1


@pytest.mark.parametrize("index", range(6))
def test_an_argument_is_read_as_its_low_and_its_high_half(index: int):
    args = tuple(0x1111_0000_2222_0000 + i for i in range(6))
    assembler = Assembler()
    assembler.load(bpf.LOW[index])
    assembler.branch(JEQ, 0x2222_0000 + index, no="wrong")
    assembler.load(bpf.HIGH[index])
    assembler.branch(JEQ, 0x1111_0000, no="wrong")
    assembler.give(1)
    assembler.label("wrong")
    assembler.give(0)

    assert bpf.run(assembler.assemble(), 0, ARCH, args=args) == 1


def test_the_instruction_pointer_and_negative_arguments_are_64_bits_wide():
    assembler = Assembler()
    assembler.load(12)
    assembler.branch(JEQ, 0x7FFF, no="wrong")
    assembler.load(bpf.HIGH[2])
    assembler.branch(JEQ, 0xFFFF_FFFF, no="wrong")
    assembler.give(1)
    assembler.label("wrong")
    assembler.give(0)

    assert bpf.run(assembler.assemble(), 0, ARCH, 0x7FFF_0000_0000, (0, 0, -1)) == 1


def test_the_trace_lists_the_instructions_that_ran():
    program = (Instruction(LOAD, 0, 0, 0), Instruction(JEQ, 1, 0, 7), DONE, DONE)

    assert bpf.trace(program, 7, ARCH) == [0, 1, 3]
    assert bpf.trace(program, 8, ARCH) == [0, 1, 2]


@pytest.mark.parametrize("sides", [("near", "far"), ("far", "near"), ("far", "far")])
@pytest.mark.parametrize("register", [3, 4])
def test_a_label_out_of_reach_is_reached_through_a_long_jump(sides: tuple[str, str], register: int):
    assembler = Assembler()
    assembler.load(bpf.NUMBER)
    assembler.branch(JEQ, 3, yes=sides[0], no=sides[1])
    assembler.label("near")
    assembler.give(1)
    for filler in range(400):
        assembler.give(1000 + filler)
    assembler.label("far")
    assembler.give(2)

    program = assembler.assemble()

    assert bpf.run(program, register, ARCH) == {"near": 1, "far": 2}[sides[register - 3]]


def test_a_branch_that_grows_can_push_another_one_out_of_reach():
    assembler = Assembler()
    assembler.load(bpf.NUMBER)
    assembler.branch(JEQ, 1, yes="edge")  # 255 away, until the next line takes two instructions
    assembler.branch(JEQ, 2, yes="far")
    for _ in range(254):
        assembler.give(0)
    assembler.label("edge")
    assembler.give(11)
    for _ in range(100):
        assembler.give(0)
    assembler.label("far")
    assembler.give(22)

    program = assembler.assemble()

    assert [bpf.run(program, number, ARCH) for number in (1, 2, 3)] == [11, 22, 0]
    assert [i.code for i in program[:5]] == [LOAD, JEQ, JUMP, JEQ, JUMP]


def test_a_label_is_defined_once():
    assembler = Assembler()
    assembler.label("here")

    with pytest.raises(BPFError, match=r"^label 'here' is defined twice$"):
        assembler.label("here")


def test_a_jump_to_nowhere_is_refused():
    assembler = Assembler()
    assembler.jump("nowhere")

    with pytest.raises(BPFError, match=r"^label 'nowhere' is not defined$"):
        assembler.assemble()


def test_a_jump_back_is_refused():
    assembler = Assembler()
    assembler.label("loop")
    assembler.load(bpf.NUMBER)
    assembler.jump("loop")

    with pytest.raises(BPFError, match=r"^label 'loop' lies behind: BPF can only jump forward$"):
        assembler.assemble()


def test_a_jump_behind_the_last_instruction_is_refused():
    assembler = Assembler()
    assembler.jump("end")
    assembler.give(0)
    assembler.label("end")

    with pytest.raises(BPFError, match=r"^instruction 0: a jump of 1 leaves the program$"):
        assembler.assemble()


def test_only_comparisons_branch():
    with pytest.raises(BPFError, match=r"^0x20 is not a conditional jump$"):
        Assembler().branch(LOAD, 0)


def test_an_empty_program_is_refused():
    assert refusal() == "0 instructions: the kernel takes 1 to 4096"


def test_the_longest_program_is_taken_and_a_longer_one_refused():
    bpf.check([DONE] * 4096)

    assert refusal(*[DONE] * 4097) == "4097 instructions: the kernel takes 1 to 4096"


@pytest.mark.parametrize(
    "bad,problem",
    [
        (Instruction(0x16, 0, 0, 0), "code 0x16 is not allowed in a seccomp filter"),
        (Instruction(0x40, 0, 0, 0), "code 0x40 is not allowed in a seccomp filter"),
        (Instruction(LOAD, 0, 0, 2), "offset 2 is not a word of struct seccomp_data"),
        (Instruction(LOAD, 0, 0, 64), "offset 64 is not a word of struct seccomp_data"),
        (Instruction(LOAD, 0, 0, -4), "k = -4 does not fit in 32 bits"),
        (Instruction(AND, 0, 0, 1 << 32), "k = 4294967296 does not fit in 32 bits"),
        (Instruction(JEQ, 256, 0, 0), "a jump of 256 (or below 0) does not fit in 8 bits"),
        (Instruction(JEQ, 0, -1, 0), "a jump of 0 (or below 0) does not fit in 8 bits"),
        (Instruction(JEQ, 0, 2, 0), "a jump of 2 leaves the program"),
        (Instruction(JUMP, 0, 0, 2), "a jump of 2 leaves the program"),
        (Instruction(JUMP, 0, 0, 0xFFFF_FFFF), "a jump of 4294967295 leaves the program"),
    ],
)
def test_what_the_kernel_would_refuse_is_refused(bad: Instruction, problem: str):
    assert refusal(bad, DONE, DONE) == f"instruction 0: {problem}"


def test_a_program_must_end_with_an_action():
    load = Instruction(LOAD, 0, 0, 60)

    assert refusal(DONE, load) == "the last instruction does not return an action"


def test_a_bad_program_is_not_encoded():
    with pytest.raises(BPFError):
        bpf.encode((Instruction(LOAD, 0, 0, 1), DONE))
