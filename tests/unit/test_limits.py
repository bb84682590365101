"""Limits: what is accepted, how it is kept, and what a refusal says."""

import dataclasses
import math
import pickle  # noqa: TID251  # only our own objects, made here

import pytest

from protocell._fields import Converted
from protocell.errors import PolicyError
from protocell.limits import GIB, MIB, Limits, format_seconds, format_size, parse_size


def refusal(**fields: object) -> str:
    with pytest.raises(PolicyError) as caught:
        Limits(**fields)  # type: ignore[arg-type]
    return str(caught.value)


def test_every_limit_is_on_by_default():
    assert dataclasses.asdict(Limits()) == {
        "wall_seconds": 30.0,
        "grace_seconds": 1.0,
        "cpu_seconds": 60.0,
        "memory_bytes": GIB,
        "processes": 64,
        "open_files": 256,
        "file_bytes": 256 * MIB,
        "workspace_bytes": 512 * MIB,
        "workspace_inodes": 16384,
        "tmp_bytes": 256 * MIB,
        "output_bytes": MIB,
        "output_total_bytes": 64 * MIB,
        "result_bytes": MIB,
        "results_bytes": 8 * MIB,
        "files_out": 256,
        "files_out_bytes": 256 * MIB,
    }


def test_limits_read_like_a_sentence():
    assert str(Limits(wall_seconds=0.25, memory_bytes="1.5GiB")) == (
        "wall 0.25 s, grace 1 s, CPU 60 s, memory 1.5 GiB, 64 processes, 256 open files, 256 MiB per file, "
        "workspace 512 MiB and 16384 inodes, tmp 256 MiB, output 1 MiB kept of each stream and "
        "64 MiB written, result 1 MiB each and 8 MiB together, 256 files and 256 MiB out"
    )


def test_what_is_given_in_another_type_is_kept_as_one_type():
    limits = Limits(wall_seconds=5, memory_bytes="256 MiB")

    assert (limits.wall_seconds, type(limits.wall_seconds)) == (5.0, float)
    assert (limits.memory_bytes, type(limits.memory_bytes)) == (256 * MIB, int)


def test_equal_limits_are_one_key():
    assert len({Limits(memory_bytes="1GiB"), Limits(memory_bytes=GIB), Limits()}) == 1


def test_limits_cannot_be_changed_but_replaced():
    limits = Limits()

    with pytest.raises(dataclasses.FrozenInstanceError):
        limits.processes = 5  # type: ignore[misc]
    assert dataclasses.replace(limits, processes=5).processes == 5


def test_a_declaration_is_not_a_place_for_values():
    with pytest.raises(AttributeError, match=r"^a declaration only; "):
        Converted[int, int](1).__set__(object(), 2)


def test_limits_survive_the_way_to_another_process():
    limits = Limits(wall_seconds=1)

    assert pickle.loads(pickle.dumps(limits)) == limits


@pytest.mark.parametrize("value", [-1, 0, math.inf, math.nan, 86400.1, 10**400])
def test_a_time_is_positive_finite_and_at_most_a_day(value: float):
    assert refusal(wall_seconds=value).endswith("; allowed is 0.001 to 86400 seconds")


@pytest.mark.parametrize("value", [True, "5", None, [1]])
def test_a_time_is_a_number(value: object):
    assert refusal(wall_seconds=value) == (
        f"wall_seconds is {value!r}; allowed is a number, 0.001 to 86400 seconds"
    )


@pytest.mark.parametrize("value", ["15MiB", 0, -1, 2**60])
def test_a_size_has_bounds(value: int | str):
    assert refusal(memory_bytes=value) == (
        f"memory_bytes is {value!r}; allowed is 16 MiB to 16 TiB"
    )


@pytest.mark.parametrize("value", [True, 1e9, None, b"1GiB"])
def test_a_size_is_a_whole_number_or_text(value: object):
    assert refusal(memory_bytes=value) == (
        f"memory_bytes is {value!r}; allowed is 16 MiB to 16 TiB, as a number or text like '256MiB'"
    )


@pytest.mark.parametrize(
    "text", ["", "MiB", "1 XiB", "-1MiB", "1e9", "1,5GiB", "\u0661GiB", "1_0k"]
)
def test_text_that_is_no_size_is_refused(text: str):
    assert refusal(memory_bytes=text) == (
        f"memory_bytes: {text!r} is not a size; write bytes or text as in '256MiB' or '64k'; "
        "allowed is 16 MiB to 16 TiB"
    )


@pytest.mark.parametrize("value", [0, -1, 1.0, True, "5", 32769])
def test_a_count_is_a_whole_number_with_bounds(value: object):
    assert refusal(processes=value) == (
        f"processes is {value!r}; allowed is a whole number, 1 to 32768"
    )


def test_no_files_out_is_allowed():
    assert Limits(files_out=0, files_out_bytes=0).files_out == 0


def test_an_unknown_field_is_named_with_the_nearest():
    message = "Limits has no field 'wall_secs'; did you mean 'wall_seconds'?"

    assert refusal(wall_secs=1) == message
    with pytest.raises(PolicyError) as caught:
        Limits.from_dict({"wall_secs": 1})
    assert str(caught.value) == message


def test_a_field_without_its_name_is_refused():
    with pytest.raises(PolicyError) as caught:
        Limits(30)  # type: ignore[call-arg]

    assert (
        str(caught.value) == "Limits takes its fields by name only, as in Limits(wall_seconds=...)"
    )


@pytest.mark.parametrize("given", [None, "wall_seconds", [("wall_seconds", 1)], {1: 2}])
def test_limits_come_from_a_mapping_of_names(given: object):
    with pytest.raises(PolicyError) as caught:
        Limits.from_dict(given)  # type: ignore[arg-type]

    assert str(caught.value) == (
        f"Limits is {given!r}; allowed is a mapping of field names to values"
    )


def test_a_hostile_value_is_shown_short_on_one_line():
    class Rude:
        def __repr__(self) -> str:
            return "\x1b[2J\n" + "x" * 1000

    class Ruder:
        def __repr__(self) -> str:
            raise RuntimeError

    assert refusal(processes=Rude()).startswith("processes is \\x1b[2J\\nxxx")
    assert len(refusal(processes=Rude())) == 152
    assert refusal(processes=Ruder()) == (
        "processes is a Ruder whose repr raises RuntimeError; allowed is a whole number, 1 to 32768"
    )


@pytest.mark.parametrize(
    "given, size",
    [
        (0, 0),
        ("0 ", 0),
        ("512", 512),
        ("512 b", 512),
        ("64k", 65536),
        ("64 KB", 65536),
        ("64KiB", 65536),
        (" 1.5 GiB ", 1610612736),
        ("2T", 2199023255552),
        ("0.1 MiB", 104858),
    ],
)
def test_a_size_is_read_in_binary_units(given: int | str, size: int):
    assert parse_size(given) == size


@pytest.mark.parametrize("given", [True, -1, 1.0, None])
def test_what_is_no_size_is_refused(given: object):
    with pytest.raises(PolicyError, match=r"is not a size; write bytes or text as in '256MiB'"):
        parse_size(given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "size, text",
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (1536, "1.5 KiB"),
        (1025, "1025 bytes"),
        (GIB, "1 GiB"),
        (1000 * MIB, "1000 MiB"),
        (5 * 1024 * GIB, "5 TiB"),
    ],
)
def test_a_size_is_shown_exactly(size: int, text: str):
    assert format_size(size) == text


def test_a_time_is_shown_without_zeros():
    assert [format_seconds(s) for s in (30.0, 0.25, 86400.0)] == ["30 s", "0.25 s", "86400 s"]
