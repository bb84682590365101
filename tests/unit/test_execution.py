"""An execution as data: E2B's shapes, safe to print, whole in JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from protocell.errors import GuestError
from protocell.execution import EXIT_CODES, Execution, ExecutionError, Logs, Usage
from protocell.files import FileSet
from protocell.result import Result


@dataclass
class File:
    path: str
    size: int
    sha256: str
    change: str


def execution(files: Mapping[str, File] | None = None, **fields: Any) -> Execution:
    fields = {"status": "ok", "reason": "The code ended.", **fields}
    return Execution(files=FileSet((files or {}).values(), removed=["gone"]), **fields)  # type: ignore[arg-type]


def plain(text: str, *, main: bool = True) -> Result:
    return Result(by_mime={"text/plain": text}, is_main_result=main)


def test_the_text_is_that_of_the_main_result():
    assert execution().text is None
    assert execution(results=[plain("shown", main=False)]).text is None
    assert execution(results=[plain("shown", main=False), plain("42")]).text == "42"


def test_a_result_has_its_forms_by_short_name_and_by_mime_type():
    result = Result(by_mime={"text/plain": "a", "image/png": "aGk=", "x/y": "z"})

    assert result.formats() == ["text", "png", "x/y"]
    assert (result["text"], result["image/png"], result["x/y"]) == ("a", "aGk=", "z")
    assert (result.text, result.png, result.html) == ("a", "aGk=", None)


@pytest.mark.parametrize(
    "name, mime",
    [
        ("text", "text/plain"),
        ("html", "text/html"),
        ("markdown", "text/markdown"),
        ("svg", "image/svg+xml"),
        ("png", "image/png"),
        ("jpeg", "image/jpeg"),
        ("pdf", "application/pdf"),
        ("latex", "text/latex"),
        ("javascript", "application/javascript"),
        ("json", "application/json"),
    ],
)
def test_a_form_is_an_attribute(name: str, mime: str):
    assert getattr(Result(by_mime={mime: "here"}), name) == "here"
    assert getattr(Result(by_mime={}), name) is None


DATA = "application/vnd.protocell.data+json"
CHART = "application/vnd.protocell.chart+json"


def test_data_and_charts_are_what_their_json_means():
    result = Result(by_mime={"text/plain": "", DATA: '{"shape": [2, 1]}', CHART: "[1]"})

    assert (result.data, result.chart) == ({"shape": [2, 1]}, [1])
    assert result.formats() == ["text", "data", "chart"]
    assert result["data"] == '{"shape": [2, 1]}'
    assert result.to_dict() == {
        "is_main_result": False,
        "text": "",
        "data": {"shape": [2, 1]},
        "chart": [1],
    }
    assert (plain("").data, plain("").chart) == (None, None)


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "9" * 100_000, "'a'", "\x1b"])
def test_data_that_mean_nothing_are_none(text: str):
    result = Result(by_mime={DATA: text, CHART: text})

    assert (result.data, result.chart) == (None, None)


def test_a_result_names_the_files_of_what_was_too_long():
    result = Result(by_mime={"text/plain": ""}, files={"text/html": "results/1-1.html"})

    assert result.to_dict()["files"] == {"text/html": "results/1-1.html"}
    assert "files" not in plain("").to_dict()


def test_a_notebook_is_given_no_markup_from_inside():
    assert [name for name in dir(Result) if name.startswith("_repr_")] == []


def test_an_execution_that_went_well_is_handed_on():
    fine = execution()

    assert fine.raise_for_error() is fine


@pytest.mark.parametrize("status", [status for status in EXIT_CODES if status != "ok"])
def test_any_other_status_raises(status: str):
    failed = execution(status=status, reason="It did not end well.")

    with pytest.raises(GuestError, match=r"^It did not end well\.$") as caught:
        failed.raise_for_error()
    assert caught.value.execution is failed


def test_a_status_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"^status is 'fine'; allowed are ok, error, timeout, "):
        execution(status="fine")


def test_json_has_everything_but_the_bytes_of_files():
    whole = execution(
        {"a.txt": File(path="a.txt", size=3, sha256="00", change="made")},
        status="error",
        reason="KeyError: 'a'",
        results=[plain("42")],
        logs=Logs(stdout=["out\n"], stderr=["err\n"]),
        error=ExecutionError(name="KeyError", value="'a'", traceback="..."),
        exit_code=None,
        execution_count=2,
        results_left_out=3,
        warnings=["Line 3, if it is reached: there is no tool a.b."],
        usage=Usage(wall_seconds=0.5, peak_memory_bytes=1024),
        enforced=("seccomp",),
    )

    assert json.loads(whole.to_json()) == {
        "status": "error",
        "reason": "KeyError: 'a'",
        "text": "42",
        "results": [{"is_main_result": True, "text": "42"}],
        "logs": {"stdout": ["out\n"], "stderr": ["err\n"]},
        "error": {"name": "KeyError", "value": "'a'", "traceback": "..."},
        "exit_code": None,
        "execution_count": 2,
        "results_left_out": 3,
        "warnings": ["Line 3, if it is reached: there is no tool a.b."],
        "state": "kept",
        "state_reason": "",
        "usage": {
            "wall_seconds": 0.5,
            "user_seconds": 0.0,
            "system_seconds": 0.0,
            "peak_memory_bytes": 1024,
            "processes": 0,
            "bytes_written": 0,
            "wait_seconds": 0.0,
        },
        "enforced": ["seccomp"],
        "files": [{"path": "a.txt", "size": 3, "sha256": "00", "change": "made"}],
        "files_removed": ["gone"],
        "files_left_out": {},
        "tool_calls": [],
        "tool_calls_note": "",
        "token_account": None,
    }


def test_what_guest_code_chose_is_printed_without_control_characters():
    evil = "\x1b]0;title\x07\n\ud800"
    whole = execution(
        results=[plain(evil)],
        logs=Logs(stdout=[evil], stderr=[evil]),
        error=ExecutionError(name=evil, value=evil, traceback=evil),
    )

    for shown in (whole, whole.results[0], whole.logs, whole.error, whole.results):
        for text in (str(shown), repr(shown)):
            assert text.isprintable()
            assert len(text) < 700


def test_json_is_ascii_whatever_guest_code_chose():
    assert execution(results=[plain("\x1b\ud800é")]).to_json().isascii()


def test_an_execution_is_short_to_look_at():
    fine = execution(results=[plain("42")], usage=Usage(wall_seconds=0.0123456))
    late = execution(status="timeout", reason="It ran for longer than wall_seconds (5 s).")
    error = ExecutionError(name="KeyError", value="'a'", traceback="...")
    raised = execution(status="error", reason="KeyError: 'a'", error=error)

    assert str(fine) == "ok in 0.012 s: 42"
    assert str(execution()) == "ok in 0 s"
    assert str(late) == "timeout in 0 s: It ran for longer than wall_seconds (5 s)."
    assert repr(fine) == ("Execution(ok, text='42', 0 lines of stdout, 0 of stderr, 0 files)")
    assert repr(raised) == (
        "Execution(error, error=KeyError: 'a', 0 lines of stdout, 0 of stderr, 0 files)"
    )
    assert repr(plain("x" * 200)) == f"Result({'x' * 97}...)"
    assert repr(Result(by_mime={"image/png": ""})) == "Result(formats: png)"
    assert repr(Logs(stdout=["a\n"])) == "Logs(stdout='a\\\\n', stderr='')"
    assert str(ExecutionError(name="KeyboardInterrupt", value="", traceback="")) == (
        "KeyboardInterrupt"
    )


def test_usage_reads_like_a_sentence():
    usage = Usage(
        wall_seconds=1.5, user_seconds=0.25, system_seconds=0.5, peak_memory_bytes=1 << 20
    )

    assert str(usage) == (
        "wall 1.5 s, CPU 0.75 s, memory 1 MiB, 0 processes, 0 bytes written, waited 0 s"
    )
