"""The import policy refuses what the code imports, says why, and leaves libraries alone."""

from pathlib import Path

import pytest

from protocell_guest.guest.imports import ImportPolicy
from tests.guest.children import RunCells


def refusal(policy: ImportPolicy, module: str, *names: str) -> str | None:
    try:
        policy.check(module, names)
    except ImportError as error:
        return f"{error}"
    return None


def policy(
    *, deny: tuple[str, ...] | None = None, allow: tuple[str, ...] | None = None
) -> ImportPolicy:
    made = ImportPolicy.of(deny=deny, allow=allow, workspace="/home/user")
    assert made is not None
    return made


# -- what is judged how ------------------------------------------------------------------------------


@pytest.mark.parametrize("deny, allow", [(None, None), ((), None), ([], None)])
def test_a_policy_that_refuses_nothing_is_none(deny: list[str] | None, allow: list[str] | None):
    assert ImportPolicy.of(deny=deny, allow=allow, workspace="/home/user") is None


@pytest.mark.parametrize("module", ["socket", "os", "os.path", "xml.sax", "xml.sax.handler"])
def test_a_denied_module_is_refused_with_its_sub_modules(module: str):
    assert refusal(policy(deny=("os", "socket", "xml.sax")), module) == (
        f"import of '{module}' is refused by the import policy (deny_imports: os, socket, xml.sax)."
        " Allowed: everything else."
    )


@pytest.mark.parametrize("module", ["math", "socketserver", "xml", "xml.etree", "xml.saxutils"])
def test_other_modules_are_not_denied(module: str):
    assert refusal(policy(deny=("os", "socket", "xml.sax")), module) is None


def test_a_denied_sub_module_is_found_behind_from():
    denied = policy(deny=("os.path", "xml.sax"))

    assert refusal(denied, "os", "sep", "path") == (
        "import of 'os.path' is refused by the import policy (deny_imports: os.path, xml.sax)."
        " Allowed: everything else."
    )
    assert refusal(denied, "os", "sep") is None


def test_what_is_not_allowed_is_refused():
    assert refusal(policy(allow=("math", "pandas")), "socket") == (
        "import of 'socket' is refused by the import policy (allow_imports). Allowed: math, pandas."
    )


@pytest.mark.parametrize(
    "module",
    ["math", "pandas", "pandas.io.excel", "xml.etree.ElementTree", "__future__", "__main__"],
)
def test_what_is_allowed_may_be_imported_with_its_sub_modules(module: str):
    assert refusal(policy(allow=("math", "pandas", "xml.etree")), module) is None


def test_an_allowed_sub_module_may_be_taken_from_its_parent_and_nothing_else():
    allowed = policy(allow=("xml.etree",))

    assert refusal(allowed, "xml", "etree") is None
    assert refusal(allowed, "xml", "etree", "sax") == (
        "import of 'xml' is refused by the import policy (allow_imports). Allowed: xml.etree."
    )
    assert refusal(allowed, "xml") is not None


def test_an_empty_list_allows_nothing():
    assert refusal(policy(allow=()), "math") == (
        "import of 'math' is refused by the import policy (allow_imports). Allowed: nothing."
    )


def test_of_both_lists_the_denial_wins():
    both = policy(deny=("pandas.io", "os"), allow=("os", "pandas"))

    assert refusal(both, "pandas") is None
    assert refusal(both, "pandas.io") == (
        "import of 'pandas.io' is refused by the import policy (deny_imports: pandas.io, os)."
        " Allowed: pandas."
    )
    assert refusal(both, "os") is not None


def test_a_long_list_is_named_in_part():
    names = tuple(f"m{number}" for number in range(60))

    assert refusal(policy(allow=names), "x") == (
        "import of 'x' is refused by the import policy (allow_imports). Allowed: "
        + ", ".join(names[:50])
        + " and 10 more."
    )


# -- in a live interpreter ---------------------------------------------------------------------------

_REFUSED = "import of 'wave' is refused by the import policy (deny_imports: wave). Allowed: everything else."


@pytest.mark.parametrize(
    "code",
    [
        "import wave",
        "import json, wave as w",
        "from wave import open",
        "from wave import *",
        "__import__('wave')",
        "import importlib\nimportlib.import_module('wave')",
        "from importlib import import_module as i\ni('wave')",
        "import importlib\nimportlib.__import__('wave')",
        "def f():\n    import wave\nf()",
        "exec('import wave')",
        "exec('import wave', {})",
        "eval('__import__(\"wave\")', {})",
        "list(map(__import__, ['wave']))",
        "sorted([1], key=lambda x: __import__('wave'))",
        "import functools\nfunctools.reduce(lambda a, b: __import__(b), ['wave'], 0)",
        "class T(str): pass\n__import__(T('wave'))",
        "async def f():\n    import wave\nawait f()",
    ],
)
def test_a_denied_module_is_refused_however_the_code_asks(run_cells: RunCells, code: str):
    session = run_cells(code, deny_imports=["wave"])
    error = session.outcomes[0].error

    assert error is not None
    assert error[:2] == ("ImportError", _REFUSED)
    assert "protocell_guest" not in error.traceback


def test_the_error_names_the_module_and_can_be_caught(run_cells: RunCells):
    code = "try:\n    import wave\nexcept ImportError as e:\n    found = type(e).__name__, e.name\nfound"

    assert run_cells(code, deny_imports=["wave"]).texts == ["('ImportError', 'wave')"]


def test_a_refused_import_shows_the_line_that_asked(run_cells: RunCells):
    session = run_cells("def f():\n    import wave\nf()", deny_imports=["wave"])
    error = session.outcomes[0].error

    assert error is not None
    assert [line for line in error.traceback.splitlines() if "^" not in line] == [
        "Traceback (most recent call last):",
        '  File "<cell 1>", line 3, in <module>',
        "    f()",
        '  File "<cell 1>", line 2, in f',
        "    import wave",
        f"ImportError: {_REFUSED}",
    ]


def test_modules_that_are_loaded_already_are_refused_too(run_cells: RunCells):
    session = run_cells(
        "import os", "import sys", "from os.path import join", deny_imports=["os", "sys"]
    )

    assert session.errors == ["ImportError"] * 3


def test_what_libraries_import_for_themselves_passes(run_cells: RunCells):
    session = run_cells(
        "import wave\nwave.__name__",
        "import tempfile\ntempfile.gettempdir() != ''",
        "import random",
        "import struct",
        allow_imports=["wave", "tempfile"],
    )

    assert session.texts == ["'wave'", "True", None, None]
    assert session.errors == [None, None, "ImportError", "ImportError"]


def test_a_library_may_load_what_the_code_may_not(run_cells: RunCells):
    # wave imports struct; xmlrpc.client imports http.client when it is first loaded.
    session = run_cells(
        "import xmlrpc.client\nxmlrpc.client.__name__",
        "import http.client",
        deny_imports=["http"],
    )

    assert session.texts[0] == "'xmlrpc.client'"
    assert session.errors == [None, "ImportError"]


def test_what_c_code_imports_for_the_code_passes(run_cells: RunCells):
    code = "import datetime\nstr(datetime.datetime.strptime('2026-01-02', '%Y-%m-%d').date())"

    assert run_cells(code, allow_imports=["datetime"]).texts == ["'2026-01-02'"]


def test_await_needs_no_permission(run_cells: RunCells):
    cell = "async def f(): return 1\nawait f()"
    session = run_cells(cell, "import asyncio", allow_imports=["math"])
    denied = run_cells(cell, "import asyncio", deny_imports=["asyncio", "socket", "ssl"])

    assert session.texts == denied.texts == ["1", None]
    assert session.errors == denied.errors == [None, "ImportError"]


def test_a_future_statement_needs_no_permission(run_cells: RunCells):
    code = "from __future__ import annotations\nimport __main__\n1"

    assert run_cells(code, allow_imports=[]).texts == ["1"]


def test_modules_that_the_code_wrote_are_the_codes_own(run_cells: RunCells, tmp_path: Path):
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").write_text("from .inner import answer\n")
    (package / "inner.py").write_text("answer = 42\n")
    (tmp_path / "sly.py").write_text("import struct\n")
    session = run_cells(
        "import mine\nmine.answer",
        "from mine.inner import answer\nanswer",
        "import importlib\nimportlib.import_module('.inner', 'mine').answer",
        "import sly",
        "import struct",
        allow_imports=["importlib"],
        workspace=str(tmp_path),
    )

    assert session.texts[:3] == ["42", "42", "42"]
    assert session.errors == [None, None, None, "ImportError", "ImportError"]
    error = session.outcomes[3].error
    assert error is not None
    assert f'  File "{tmp_path}/sly.py", line 1, in <module>' in error.traceback.splitlines()


def test_a_file_named_like_a_loaded_module_does_not_allow_it(run_cells: RunCells, tmp_path: Path):
    (tmp_path / "os.py").write_text("")
    (tmp_path / "sys.py").write_text("")
    session = run_cells("import os", "import sys", allow_imports=[], workspace=str(tmp_path))

    assert session.errors == ["ImportError", "ImportError"]


def test_the_audit_hook_finds_denied_modules_behind_the_original_function(run_cells: RunCells):
    keep = "import sys\nsys.original = __import__"
    code = "import sys\nsys.original('wave')"
    session = run_cells(
        code, "import sys\nsys.original('math').__name__", before=keep, deny_imports=["wave"]
    )

    assert session.errors == ["ImportError", None]
    assert session.outcomes[0].error is not None
    assert session.outcomes[0].error.value == _REFUSED


def test_a_missing_module_is_missing_and_not_refused(run_cells: RunCells):
    session = run_cells("import not_there", "__import__(7)", deny_imports=["wave"])

    assert session.errors == ["ModuleNotFoundError", "TypeError"]


def test_without_a_policy_nothing_is_installed(run_cells: RunCells):
    before = (
        "import builtins, importlib, sys\n"
        "hooks = []\nsys.addaudithook = hooks.append\n"
        "sys.given = builtins.__import__, importlib.import_module, importlib.__import__, hooks"
    )
    look = (
        "import builtins, importlib, sys\n"
        "now = builtins.__import__, importlib.import_module, importlib.__import__, []\nnow == sys.given"
    )

    assert run_cells(look, before=before).texts == ["True"]
    assert run_cells(look, before=before, deny_imports=["wave"]).texts == ["False"]


def test_an_allow_list_alone_installs_no_audit_hook(run_cells: RunCells):
    before = "import sys\nsys.hooks = []\nsys.addaudithook = sys.hooks.append"
    session = run_cells("import sys\nsys.hooks", before=before, allow_imports=["sys"])

    assert session.texts == ["[]"]


def test_the_policy_holds_in_forked_workers(run_cells: RunCells):
    code = (
        "import multiprocessing\ndef f(x):\n    try:\n        import wave\n"
        "    except ImportError:\n        return 'refused'\n"
        "with multiprocessing.get_context('fork').Pool(1) as pool:\n    found = pool.map(f, [1])\nfound"
    )

    assert run_cells(code, deny_imports=["wave"]).texts == ["['refused']"]
