"""The documents are true: their code runs and gives what they show, and their tables are the program's."""

import ast
import builtins
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import protocell
from protocell import Limits, Policy, Sandbox
from protocell.errors import ProtocellError
from protocell.execution import EXIT_CODES, Status
from protocell.limits import format_seconds, format_size
from protocell.tools import ToolLimits
from protocell.tools.errors import BUILTINS
from protocell_guest.guest.tool_errors import ToolError
from tests.claims import CLAIMS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SECURITY = (ROOT / "SECURITY.md").read_text()
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

TOOLS = (ROOT / "docs" / "tools.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README + TOOLS, re.DOTALL | re.MULTILINE)
SHOWN = re.compile(r"  # -> (.+)$")
PRELUDE = "import os, socket, subprocess, sys, threading, time\n"
CHECK = """
def _shown(value, expected):
    global _checked
    _checked += 1
    assert repr(value) == expected, f"{value!r} and not {expected}"
_checked = 0
"""


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


class Checked(ast.NodeTransformer):
    """Turns each expression with ``# -> text`` beside it into a check that its repr is that text."""

    def __init__(self, source: str) -> None:
        self._lines = source.splitlines()
        self.count = 0

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        shown = SHOWN.search(self._lines[(node.end_lineno or node.lineno) - 1])
        if shown is None:
            return node
        self.count += 1
        check = ast.Call(ast.Name("_shown", ast.Load()), [node.value, ast.Constant(shown[1])], [])
        return ast.Expr(check)


def checked(source: str) -> str:
    """The program of a block, with what it shows as checks; all of them must have been reached."""
    checks = Checked(source)
    tree = ast.fix_missing_locations(checks.visit(ast.parse(source)))
    assert checks.count == len(re.findall("# ->", source)), "a result beside no expression"
    return f"{CHECK}\n{ast.unparse(tree)}\nassert _checked == {checks.count}\n"


def column(text: str, name: str, number: int = 0) -> list[str]:
    """One column of the table whose header begins with ``name``."""
    head = text.index(f"| {name} |")
    table = text[head:].partition("\n\n")[0].splitlines()[2:]
    return [re.split(r" ?\| ?", line)[number + 1] for line in table]


def code_of(cell: str) -> tuple[str, str]:
    """The code in a cell, and what comes of it if the cell says so."""
    spans = re.findall(r"`([^`]+)`", cell)
    return spans[0], spans[1] if len(spans) > 1 else ""


@pytest.mark.parametrize("source", BLOCKS, ids=lambda text: text.strip().splitlines()[-1][:40])
def test_a_block_of_a_page_runs_and_gives_what_it_shows(source: str, tmp_path: Path):
    tmp_path.chmod(0o755)  # root's code may read what everybody may read
    done = subprocess.run(
        [sys.executable, "-"],
        input=checked(source),
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_block_with_results_is_seen_by_the_test_above():
    assert len(BLOCKS) == (README + TOOLS).count("```python")
    assert sum(block.count("# ->") for block in BLOCKS) == (README + TOOLS).count("# ->") > 20


def test_a_result_that_is_not_so_is_found():
    with pytest.raises(AssertionError, match="2 and not 3"):
        exec(checked("1 + 1  # -> 3"), {})  # it is what the line above tests


def test_a_result_that_is_never_reached_is_found():
    with pytest.raises(AssertionError):
        exec(checked("if []:\n    1  # -> 1"), {})


@pytest.mark.parametrize("cell", column(README, "the code can"))
def test_what_the_readme_says_that_code_can_do_works(cell: str):
    execution = protocell.run_code(PRELUDE + code_of(cell)[0])

    assert (execution.status, execution.reason) == ("ok", "the code ran to its end")


@pytest.mark.parametrize("cell", column(README, "the code can", 1))
def test_what_the_readme_says_that_code_cannot_do_fails_as_it_says(
    cell: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    assert os.environ["DATABASE_PASSWORD"] == "secret"
    code, outcome = code_of(cell)

    execution = protocell.run_code(PRELUDE + code, timeout=2)

    # The KeyboardInterrupt of a time-out is not the code's.
    raised = execution.error if execution.status != "timeout" else None
    assert outcome == (raised.name if raised else execution.status)


def test_the_readme_has_every_status_with_its_exit_code():
    names = [name.strip("`") for name in column(README, "`status`")]
    codes = [int(code) for code in column(README, "`status`", 2)]

    assert tuple(names) == get_args(Status)
    assert dict(zip(names, codes, strict=True)) == EXIT_CODES


def test_the_readme_has_every_limit_with_its_default():
    shown = zip(column(README, "limit"), column(README, "limit", 1), strict=True)

    assert {name.strip("`"): default for name, default in shown} == {
        name: as_shown(name, getattr(Limits(), name)) for name in Limits.__slots__
    }


def test_the_page_of_tools_has_every_limit_with_its_default():
    shown = zip(column(TOOLS, "limit"), column(TOOLS, "limit", 1), strict=True)

    assert {name.strip("`"): default for name, default in shown} == {
        name: as_shown(name, getattr(ToolLimits(), name)) for name in ToolLimits.__slots__
    }


def test_the_page_of_tools_has_every_kind_of_error_with_what_it_is_caught_as():
    kinds = [kind.strip("`") for kind in column(TOOLS, "kind")]
    classes = [name.strip("`") for name in column(TOOLS, "kind", 1)]
    builtin = [name.strip("`") for name in column(TOOLS, "kind", 2)]

    assert dict(zip(kinds, builtin, strict=True)) == BUILTINS
    assert {each.kind: each.__name__ for each in ToolError.__subclasses__()} == dict(
        zip(kinds, classes, strict=True)
    )


def as_shown(name: str, value: float) -> str:
    if name.endswith("seconds"):
        return format_seconds(value)
    return format_size(int(value)) if name.endswith("_bytes") else str(value)


def test_a_layer_that_the_documents_require_or_waive_exists():
    texts = "".join(page.read_text() for page in PAGES)
    found = re.findall(r'(require|waive)=\[("[a-z0-9-]+")\]', texts)

    assert found
    for field, layer in found:
        Policy.from_dict({field: [layer.strip('"')]})


def test_the_table_of_promises_is_the_one_in_the_manifest():
    done = subprocess.run(
        [sys.executable, "scripts/claims-table"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    begin = "<!-- written by scripts/claims-table --write: do not edit by hand -->"
    end = "<!-- end of what scripts/claims-table writes -->"
    table = SECURITY.partition(begin)[2].partition(end)[0].strip("\n")

    assert table == done.stdout.strip("\n"), "run scripts/claims-table --write"


def test_every_claim_of_the_manifest_is_in_the_table():
    assert {claim.id for claim in CLAIMS} - in_the_table() == set()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_claim_that_a_document_names_exists(page: Path):
    families = "|".join(sorted({claim.id.partition(".")[0] for claim in CLAIMS}))
    shape = rf"`((?:{families})\.[a-z0-9]+(?:-[a-z0-9]+)+)`"

    assert set(re.findall(shape, page.read_text())) - in_the_table() == set()


def in_the_table() -> set[str]:
    return set(re.findall(r"^\| `([^`]+)` \|", SECURITY, re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_link_leads_somewhere(page: Path):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)

    assert broken == []


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


def test_the_map_names_every_source_file_and_none_that_is_not_there():
    sources = {path.name for path in (ROOT / "src").rglob("*.py")} - {"__init__.py", "__main__.py"}
    section = ARCHITECTURE.partition("## Map")[2].partition("\n## ")[0]
    names = set(re.findall(r"\b_?[a-z_]+\.py\b", section))

    assert (sources - names, names - sources) == (set(), set())


def test_every_file_that_is_called_security_critical_exists():
    section = SECURITY.partition("## Security-critical files")[2].partition("\n## ")[0]
    paths = re.findall(r"`(src/[^`]+)`", section)

    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_every_class_of_errors_is_one_of_ours():
    names = set(re.findall(r"`([A-Z]\w+Error)`", ARCHITECTURE + SECURITY))
    ours = {"ProtocellError"} | {kind.__name__ for kind in ProtocellError.__subclasses__()}

    assert names - set(vars(builtins)) - ours == set()


def test_no_document_names_a_path_of_somebody_s_machine():
    found = {
        named(page): re.findall(
            r"(?<![\w.])/(?:work|root|home/(?!user\b)\w+)\b\S*", page.read_text()
        )
        for page in PAGES
    }

    assert {page: paths for page, paths in found.items() if paths} == {}


@pytest.mark.parametrize(
    "first, state", [("", "kept"), ("import signal; signal.signal(2, signal.SIG_IGN)", "lost")]
)
def test_variables_live_through_a_timeout_that_the_code_obeys_and_files_through_any(
    first: str, state: str
):
    with Sandbox() as sandbox:
        sandbox.run_code("open('kept.txt', 'w').write('yes'); x = 1")
        late = sandbox.run_code(f"{first}\nwhile True: pass", timeout=0.3)

        assert (late.status, late.state) == ("timeout", state)
        assert sandbox.run_code("open('kept.txt').read(), 'x' in globals()").text == (
            f"('yes', {state == 'kept'})"
        )
