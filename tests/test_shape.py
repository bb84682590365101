"""The code keeps its shape: small files, short functions, a hand-written front, nothing heavy inside, a clean lock."""

import ast
import re
import statistics
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

import protocell
from protocell import errors

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

MOST_LINES_IN_A_FILE = 300
MOST_LINES_IN_A_FUNCTION = 60
MEDIAN_LINES_IN_A_FUNCTION = 11
# Tables, not logic: numbers per machine, and one row for each rule or feature.
DATA_TABLES = {"syscalls.py", "syscall_rules.py"}

# What a zygote holds before it preloads anything, every sandbox inherits: each name here is a decision.
INHERITED = """
    array ast collections contextlib contextvars copy copyreg ctypes dataclasses dis enum errno fcntl functools gc
    importlib inspect itertools json keyword linecache math opcode operator platform re reprlib resource select
    selectors signal socket struct textwrap token tokenize traceback types typing unicodedata warnings weakref
"""
# And what comes with IPython's shell, where that is installed: no numbers, no plots, no event loop, no database.
INHERITED_WITH_IPYTHON = """
    IPython pygments traitlets
    argparse atexit binascii bisect bz2 codeop datetime fnmatch getopt gettext heapq html ipaddress locale logging lzma
    ntpath numbers pathlib pickle pprint queue random shlex shutil socketserver string subprocess tempfile threading
    timeit urllib zlib
"""
ZYGOTE = (
    "import protocell_guest.boot, protocell_guest.startup; from protocell_guest.guest import shells"
)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{named(path)}:{node.lineno} {node.name}", length_without_docstring(node)


def length_without_docstring(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    length = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node) is not None and first.end_lineno is not None:
        length -= first.end_lineno - first.lineno + 1
    return length


def test_no_file_is_longer_than_a_reader_can_hold():
    long = {
        named(path): count
        for path in SOURCES
        if path.name not in DATA_TABLES
        and (count := len(path.read_text().splitlines())) > MOST_LINES_IN_A_FILE
    }

    assert long == {}


def test_no_function_is_longer_than_a_screen():
    found = [pair for path in SOURCES for pair in functions(path)]

    assert [pair for pair in found if pair[1] > MOST_LINES_IN_A_FUNCTION] == []


def test_functions_are_short():
    lengths = [length for path in SOURCES for _, length in functions(path)]

    assert statistics.median(lengths) <= MEDIAN_LINES_IN_A_FUNCTION


@pytest.mark.parametrize("path", SOURCES + TESTS, ids=named)
def test_a_file_begins_with_a_sentence_that_says_why_it_exists(path: Path):
    text = ast.get_docstring(ast.parse(path.read_text())) or ""

    assert re.match(r"\S.*?[.:](\s|$)", text, re.DOTALL), f"{path}: {text[:80]!r}"
    assert path.read_text().startswith('"""')


def test_only_one_file_on_each_side_names_ctypes():
    found = [named(path) for path in SOURCES if "ctypes" in imported(path)]

    assert found == ["src/protocell/_workspace/inotify.py", "src/protocell_guest/kernel/_libc.py"]


def test_code_inside_needs_the_standard_library_alone():
    allowed = {*sys.stdlib_module_names, "protocell_guest"}
    inside = [path for path in SOURCES if "protocell_guest" in path.parts]

    assert {name for path in inside for name in imported(path)} - allowed == set()


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(str(node.module).partition(".")[0])
    return names


def test_the_public_names_are_a_list_written_by_hand():
    public = {
        name
        for name in dir(protocell)
        if not name.startswith("_") and not isinstance(getattr(protocell, name), types.ModuleType)
    }

    assert sorted(protocell.__all__) == sorted(public)


def test_every_error_is_a_public_name():
    ours = {
        name
        for name, value in vars(errors).items()
        if isinstance(value, type) and issubclass(value, errors.ProtocellError)
    }

    assert ours <= set(protocell.__all__)
    assert all(getattr(protocell, name) is getattr(errors, name) for name in ours)


def test_a_name_that_is_not_public_is_no_attribute():
    with pytest.raises(AttributeError, match=r"^module 'protocell' has no attribute 'Sandboxx'$"):
        protocell.Sandboxx  # noqa: B018


def test_importing_the_library_loads_no_third_party_package():
    found = loaded("from protocell import *")

    assert found - {"protocell", "protocell_guest"} <= sys.stdlib_module_names


def test_what_the_command_line_loads_before_it_can_be_interrupted_is_next_to_nothing():
    show = "import sys; before = set(sys.modules); import protocell.cli; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", show], check=True, capture_output=True, text=True)

    ours = {name for name in done.stdout.split() if name.startswith("protocell")}
    assert ours == {"protocell", "protocell.cli"}


def test_a_zygote_loads_nothing_but_what_is_listed_here():
    found = loaded(f"{ZYGOTE}; shells.prepare('plain')")

    assert {name for name in found if not name.startswith("_")} - set(INHERITED.split()) == {
        "protocell_guest"
    }


def test_a_zygote_with_ipython_loads_nothing_more_but_what_is_listed_here():
    pytest.importorskip("IPython")
    found = loaded("shells.prepare('ipython')", before=ZYGOTE)
    # What the standard library takes along with these (_bz2 and the like) differs between versions.
    ours = {name for name in found if not name.startswith("_")}

    assert ours - set(INHERITED.split()) - set(INHERITED_WITH_IPYTHON.split()) == {
        "protocell_guest"
    }


def test_a_zygote_with_ipython_has_no_thread_and_no_event_loop():
    pytest.importorskip("IPython")
    look = "print(len(sys._current_frames()), 'asyncio' in sys.modules)"
    code = f"import sys; {ZYGOTE}; shells.prepare('ipython'); {look}"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True, timeout=30
    )

    assert done.stdout == "1 False\n"


def loaded(statement: str, before: str = "pass") -> set[str]:
    """Names of the top-level modules that a statement loads into a bare interpreter, after another statement."""
    bare = f"import sys; {before}; before = set(sys.modules)"
    show = "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"{bare}; {statement}; {show}"],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return set(done.stdout.split())


def test_both_packages_say_that_they_are_typed():
    assert [p.exists() for p in sorted((ROOT / "src").glob("*/py.typed"))] == [True, True]


def test_the_lock_names_no_index_and_no_address():
    text = "".join(path.read_text() for path in locks())

    assert re.findall(r"://|--\S*index|--\S*host|--find-links| @ ", text) == []


@pytest.mark.parametrize("name", ["demo", "dev"])
def test_everything_that_pip_installs_is_pinned_with_hashes(name: str):
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    entries = re.findall(r"^([^#\s][^\n]*?)((?: *\\\n    .*)*)$", text, re.MULTILINE)

    assert entries
    for requirement, rest in entries:
        assert "==" in requirement
        assert re.search("sha256:[0-9a-f]{64}", rest)


def locks() -> list[Path]:
    return sorted((ROOT / "requirements").glob("*.txt"))
