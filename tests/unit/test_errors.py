"""The tree of errors: drawn as it is, with a row in the table for each class."""

import copy
import inspect
import pickle  # noqa: TID251  # only our own objects, made here

import pytest

from protocell import errors
from protocell.errors import (
    BusyError,
    ClosedError,
    FileError,
    GuestError,
    PolicyError,
    ProtocellError,
    ProtocolError,
    SandboxDiedError,
    SetupError,
    UnsupportedError,
)
from protocell.execution import EXIT_CODES, Execution, ExecutionError

CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, ProtocellError)
]


def rows_of_the_table() -> dict[str, list[str]]:
    text = inspect.getdoc(errors) or ""
    table = text.split("class               guest code ran    state survives    exit code\n")[1]
    rows = [line.split() for line in table.split("\n\n")[0].splitlines()]
    return {row[0]: row[1:] for row in rows}


def test_the_table_has_a_true_row_for_each_class():
    assert rows_of_the_table() == {
        each.__name__: [each.guest_code_ran, each.state_survives, str(each.exit_code)]
        for each in CLASSES
    }


def test_the_tree_is_drawn_with_each_class():
    drawn = (inspect.getdoc(errors) or "").split("One table")[0]

    assert [each.__name__ for each in CLASSES if each.__name__ not in drawn] == []


@pytest.mark.parametrize("each", CLASSES, ids=lambda each: each.__name__)
def test_the_docstring_says_whose_fault_it_is_on_one_line(each: type[ProtocellError]):
    text = inspect.getdoc(each) or ""

    assert "\n" not in text
    assert text.startswith(("Ours", "Yours", "This machine's", "The guest code's", "Not yours"))


def test_exit_codes_tell_endings_apart():
    codes = [each.exit_code for each in CLASSES if each not in (ProtocellError, GuestError)]
    endings = [code for status, code in EXIT_CODES.items() if status != "ok"]

    assert sorted([*codes, *endings]) == [
        *(1, 2, 3, 4, 5, 6, 7, 8, 9, 10),
        *(20, 21, 22, 124, 130),
    ]
    assert ProtocellError.exit_code == SetupError.exit_code
    assert GuestError.exit_code == EXIT_CODES["error"]


def test_a_policy_error_is_a_value_error_and_a_file_error_an_os_error():
    assert issubclass(PolicyError, ValueError)
    assert issubclass(FileError, OSError)


def test_facts_stand_beside_the_message():
    unsupported = UnsupportedError("no", missing=("seccomp",), remedy="boot a newer kernel")
    setup = SetupError("mount failed", step="new-root", errno=13)
    file = FileError("too large", path="a.txt", errno=27)

    assert (str(unsupported), unsupported.missing) == ("no", ("seccomp",))
    assert unsupported.remedy == "boot a newer kernel"
    assert (str(setup), setup.step, setup.errno) == ("mount failed", "new-root", 13)
    assert (str(file), file.path, file.errno) == ("too large", "a.txt", 27)
    assert SandboxDiedError("gone", exit_status=9).exit_status == 9


def test_a_guest_error_carries_its_execution():
    failed = ExecutionError(name="KeyError", value="'a'", traceback="...")
    execution = Execution(status="error", reason="The code raised.", files={}, error=failed)  # type: ignore[arg-type]

    error = GuestError(execution)

    assert error.execution is execution
    assert str(error) == "The code raised. (KeyError: 'a')"


@pytest.mark.parametrize(
    "error",
    [
        ProtocellError("a"),
        PolicyError("a"),
        UnsupportedError("a", missing=("b",), remedy="c"),
        SetupError("a", step="b", errno=1),
        SandboxDiedError("a", exit_status=9),
        ProtocolError("a"),
        BusyError("a"),
        ClosedError("a"),
        FileError("a", path="b", errno=2),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_survives_the_way_to_another_process(error: ProtocellError):
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)
