"""Skills in real sandboxes: kept in one, used in another, read-only, agreed to, found by search."""

import asyncio
import os
import textwrap
from pathlib import Path
from typing import Any

import pytest

from protocell import AsyncSandbox, Environment, Mount, Policy, Sandbox
from protocell._broker.runtime import of_this_process
from protocell.calls import ToolCall
from protocell.errors import FileError, PolicyError, UnsupportedError
from protocell.tools import Approval, SkillRequest, Skills, Tools, Toolset
from protocell_guest.skill_terms import FOLDER
from tests.integration.running import fine, output

of_this_process()  # the one loop of the blocking face, which stays until the process ends

TWICE = 'def twice(number: int) -> int:\n    """Two times a number."""\n    return 2 * number\n'


def order(number: int) -> dict[str, int]:
    """One order by its number."""
    return {"number": number, "total": number * 10}


@pytest.fixture
def skills(tmp_path: Path) -> Skills:
    os.chmod(tmp_path, 0o755)
    return Skills(tmp_path / "skills")


@pytest.fixture(params=["plain", "ipython"])
def shell(request: pytest.FixtureRequest) -> Policy:
    if request.param == "ipython":
        pytest.importorskip("IPython")
    return Policy(environment=Environment(shell=request.param))


def agreeing(skills: Skills, **said: Any) -> Skills:
    """The same folder, where whoever is asked says this."""
    return Skills(skills.folder, consent=lambda _: Approval(**said))


# -- kept and used --------------------------------------------------------------------------------


def test_a_function_of_one_sandbox_is_a_skill_of_the_next(skills: Skills, shell: Policy):
    with Sandbox(shell, skills=skills) as sandbox:
        fine(sandbox.run_code(TWICE))
        skill = sandbox.save_skill("twice")
    with Sandbox(shell, skills=skills) as sandbox:
        execution = fine(sandbox.run_code("skills.twice(21)"))

    assert (skill.name, skill.signature) == ("twice", "(number: int) -> int")
    assert skill.doc == "Two times a number."
    assert skills.read("twice").partition("\n")[2] == TWICE
    assert execution.text == "42"


def test_a_skill_is_usable_at_once_here_and_in_other_live_sandboxes(skills: Skills):
    with Sandbox(skills=skills) as here, Sandbox(skills=Skills(skills.folder)) as there:
        assert fine(there.run_code("list(skills), len(tools)")).text == "([], 0)"
        fine(here.run_code(TWICE))
        here.save_skill("twice")

        assert fine(here.run_code("skills.twice(1)")).text == "2"
        assert fine(there.run_code("skills.twice(2)")).text == "4"


def test_what_was_replaced_is_what_runs_and_what_was_removed_is_gone(skills: Skills):
    with Sandbox(skills=skills) as sandbox:
        skills.save("twice", TWICE)
        fine(sandbox.run_code(f"open('{FOLDER}/twice.py').read()"))
        assert fine(sandbox.run_code("skills.twice(2)")).text == "4"
        skills.save("twice", TWICE.replace("2 *", "3 *"), replace=True)
        assert fine(sandbox.run_code("skills.twice(2)")).text == "6"
        skills.remove("twice")
        gone = sandbox.run_code("skills.twice(2)")

    assert gone.error is not None
    assert gone.error.value == "there is no skill 'twice'; see dir(skills)"


def test_skills_can_be_imported_in_every_way(skills: Skills, shell: Policy):
    skills.save("twice", TWICE)
    with Sandbox(shell, skills=skills) as sandbox:
        code = """
        import inspect, pickle, skills as folder
        import skills.twice
        from skills import twice
        from skills.twice import twice as again
        print(twice is again is skills.twice is folder.twice, skills is folder)
        print(call_tool("skills/twice", {"number": 2}), twice.__module__, twice.__doc__)
        print(inspect.signature(skills.twice), inspect.getsource(twice).count("\\n"))
        print(pickle.loads(pickle.dumps(twice)) is twice, dir(skills), len(skills))
        """
        execution = fine(sandbox.run_code(textwrap.dedent(code)))

    assert output(execution).splitlines() == [
        "True True",
        "4 skills.twice Two times a number.",
        "(number: int) -> int 3",
        "True ['save', 'twice'] 1",
    ]


def test_a_wrong_call_of_a_skill_is_told_before_anything_has_run(skills: Skills, shell: Policy):
    skills.save("twice", TWICE)
    with Sandbox(shell, skills=skills) as sandbox:
        values = [
            run.error and run.error.value
            for run in (
                sandbox.run_code("print(1)\nskills.twcie(2)"),
                sandbox.run_code("print(1)\nskills.twice(nmber=2)"),
                sandbox.run_code("print(1)\nfrom skills import twcie"),
            )
        ]
        fine(sandbox.run_code("skills.own = lambda nmber: nmber"))
        own = fine(sandbox.run_code("from skills import own\nown(1) + skills.own(nmber=2)"))

    assert [value and value.split("\n")[1] for value in values] == [
        "line 2: there is no tool skills.twcie; did you mean skills.twice?",
        (
            "line 2: skills.twice has no parameter 'nmber' (did you mean number?) and needs number. "
            "Parameters (* = required): number*"
        ),
        "line 2: there is no tool skills.twcie; did you mean skills.twice?",
    ]
    assert own.text == "3"


def test_nothing_that_is_installed_is_hidden_by_a_skill(skills: Skills):
    skills.save("json", "def json():\n    return 'ours'\n")
    with Sandbox(skills=skills) as sandbox:
        fine(sandbox.run_code("import json\njson.dumps(1), skills.json()"))
        execution = fine(sandbox.run_code("import json\njson.dumps([1]), skills.json()"))
    with Sandbox(skills=skills) as sandbox:
        sandbox.files.write("skills.py", "mine = 7")
        own = fine(sandbox.run_code("import skills as own\nown.mine"))
        beside = fine(sandbox.run_code("skills.json()"))

    assert execution.text == "('[1]', 'ours')"
    assert (own.text, beside.text) == ("7", "'ours'")


def test_skills_are_there_after_a_restart_a_restore_in_branches_and_further_contexts(
    skills: Skills,
):
    skills.save("twice", TWICE)
    with Sandbox(skills=skills, checkpoints=True) as sandbox:
        fine(sandbox.run_code("x = skills.twice(1)"))
        (branch,) = sandbox.context.fork(1)
        skills.save("thrice", TWICE.replace("twice", "thrice").replace("2 *", "3 *"))
        killed = sandbox.run_code("skills.thrice(1)\nimport os; os._exit(1)")
        restored = fine(sandbox.run_code("x, skills.thrice(x)"))
        further = sandbox.create_code_context()
        each = [fine(one.run_code("skills.thrice(1)")).text for one in (branch, further)]
        sandbox.context.undo()
        undone = fine(sandbox.run_code("skills.thrice(x)"))
        sandbox.context.restart()
        fresh = fine(sandbox.run_code("skills.twice(4), 'x' in globals()"))
        branch.run_code("def quarter(n):\n    return n / 4")
        saved = branch.save_skill("quarter")

    assert (killed.state, restored.text, each) == ("restored", "(2, 6)", ["3", "3"])
    assert (undone.text, fresh.text, saved.name) == ("6", "(8, False)", "quarter")


def test_tools_are_there_after_a_restart_and_however_many_they_are():
    def tool(number: int) -> Any:
        def numbered(text: str, count: int = 1, exact: str = "no") -> dict[str, Any]:
            """Does something about which there is a sentence or two to be said, as with most tools."""
            return {"number": number, "text": text}

        numbered.__name__ = f"tool_{number}"
        return numbered

    toolset = Toolset.of(*[tool(number) for number in range(500)])
    with Sandbox(tools=toolset) as sandbox:
        assert fine(sandbox.run_code("len(tools), tool_499('a')['number']")).text == "(500, 499)"
        sandbox.context.restart()
        assert fine(sandbox.run_code("len(tools), tool_499('a')['number']")).text == "(500, 499)"


def test_a_skill_that_fails_shows_its_own_lines(skills: Skills):
    skills.save("broken", "def broken(number):\n    return number / 0\n")
    with Sandbox(skills=skills) as sandbox:
        execution = sandbox.run_code("skills.broken(1)")

    assert execution.error is not None
    assert execution.error.name == "ZeroDivisionError"
    assert f'File "{FOLDER}/broken.py", line 2, in broken' in execution.error.traceback
    assert "return number / 0" in execution.error.traceback


def test_the_names_of_skills_are_not_the_codes_variables(skills: Skills):
    skills.save("twice", TWICE)
    with Sandbox(skills=skills) as sandbox:
        fine(sandbox.run_code("mine = skills.twice(1)"))

        assert [variable.name for variable in sandbox.context.variables()] == ["mine"]


# -- by hand --------------------------------------------------------------------------------------


def test_a_file_by_hand_is_a_skill_and_its_signature_is_learned_inside(skills: Skills):
    (Path(skills.folder) / "root.py").write_text(
        '"""Roots."""\nimport math\n\n\ndef root(x: float, *, of: int = 2) -> float:\n'
        "    return x ** (1 / of)\n"
    )
    assert [skill.signature for skill in skills.list()] == ["(...)"]
    with Sandbox(skills=skills) as sandbox:
        found = fine(sandbox.run_code("search_tools('roots')"))
        value = fine(sandbox.run_code("skills.root(8.0, of=3)"))

    assert found.text == "skills.root(x=float)  # optional: of=int; gives float; Roots"
    assert value.text == "2.0"
    (skill,) = skills.list()
    assert (skill.signature, skill.doc) == ("(x: float, *, of: int=2) -> float", "Roots.")


@pytest.mark.parametrize(
    "text",
    [
        "def odd(:\n",
        "x = " + "(" * 5_000,
        "import nothing_there\ndef odd(): ...\n",
        "odd = 3\n",
        "",
    ],
)
def test_a_file_by_hand_that_is_broken_harms_nothing_but_who_uses_it(skills: Skills, text: str):
    (Path(skills.folder) / "odd.py").write_text(text)
    skills.save("twice", TWICE)
    with Sandbox(skills=skills) as sandbox:
        assert fine(sandbox.run_code("skills.twice(2)")).text == "4"
        assert sandbox.run_code("skills.odd()").status == "error"
        assert fine(sandbox.run_code("skills.twice(3)")).text == "6"


def test_what_code_says_about_skills_by_hand_is_not_believed(skills: Skills):
    with Sandbox(skills=skills) as sandbox:
        fine(sandbox.run_code("import gc"))
        (Path(skills.folder) / "late.py").write_text("def late(a): ...\n")
        fine(sandbox.run_code("skills.late(1)"))
        assert [skill.signature for skill in skills.list()] == ["(...)"]
    with Sandbox(skills=skills) as sandbox:
        fine(sandbox.run_code("1"))
    assert [skill.signature for skill in skills.list()] == ["(a)"]


# -- membrane -------------------------------------------------------------------------------------


def test_the_folder_can_be_read_inside_and_not_be_written(skills: Skills):
    path = Path(skills.save("twice", TWICE).path)
    code = f"""
    import os
    tried = {{}}
    for name, attempt in {{
        "write": lambda: open("{FOLDER}/twice.py", "w"),
        "new": lambda: open("{FOLDER}/evil.py", "x"),
        "remove": lambda: os.unlink("{FOLDER}/twice.py"),
        "rename": lambda: os.rename("{FOLDER}/twice.py", "{FOLDER}/other.py"),
        "link": lambda: os.symlink("/etc/passwd", "{FOLDER}/evil.py"),
        "mode": lambda: os.chmod("{FOLDER}/twice.py", 0o777),
    }}.items():
        try:
            attempt()
        except OSError as error:
            tried[name] = type(error).__name__
    print(open("{FOLDER}/twice.py").read() == {TWICE!r}, len(tried))
    """
    with Sandbox(skills=skills) as sandbox:
        execution = fine(sandbox.run_code(textwrap.dedent(code)))

    assert output(execution) == "True 6\n"
    assert (path.read_text(), os.listdir(skills.folder)) == (TWICE, ["twice.py"])


def test_no_path_of_the_host_is_told_inside(skills: Skills):
    skills.save("twice", TWICE)
    with Sandbox(skills=skills) as sandbox:
        code = "print(open('/proc/self/mountinfo').read(), skills.twice.__code__, vars(skills))"
        execution = fine(sandbox.run_code(code))

    assert skills.folder not in output(execution)


def test_a_skill_is_judged_by_the_import_policy_as_the_code_is(skills: Skills):
    skills.save("folder", "import os\ndef folder():\n    return os.getcwd()\n")
    skills.save("twice", TWICE)
    with Sandbox(Policy(allow_imports=("math",)), skills=skills) as sandbox:
        refused = sandbox.run_code("skills.folder()")
        allowed = fine(sandbox.run_code("import skills\nfrom skills.twice import twice\ntwice(1)"))

    assert refused.error is not None
    assert "import of 'os' is refused by the import policy" in refused.error.value
    assert allowed.text == "2"


def test_a_process_has_no_skills():
    with pytest.raises(UnsupportedError, match='skills need isolation="kernel"'):
        Sandbox(Policy(isolation="process"), skills=Skills("/nonexistent/../tmp"))


def test_what_are_no_skills_is_refused(skills: Skills):
    with pytest.raises(PolicyError, match=r"skills is 'folder'; allowed is Skills\(folder\)"):
        Sandbox(skills="folder")  # type: ignore[arg-type]
    other = Policy(mounts=[Mount(source=skills.folder, target="/opt/protocell")])
    with pytest.raises(PolicyError, match="overlaps"):
        Sandbox(other, skills=skills)
    with Sandbox() as sandbox, pytest.raises(PolicyError, match="make it with skills=Skills"):
        sandbox.save_skill("twice")


# -- what comes along -----------------------------------------------------------------------------

HELPERS = """
import json, os.path
import re as regex
import xml.etree.ElementTree
from collections import Counter, namedtuple
from dataclasses import dataclass
from datetime import date
from functools import cache
from math import pi, sqrt as root
from typing import Optional

RATES = {"EUR": 1.5, "odd": [None, True, (1,), float("inf"), b"x", {3}]}
PATTERN = regex.compile(r"(\\d+)")
Point = namedtuple("Point", "x y")
START = date(2026, 1, 2)
Number = Optional[int]
shorter = lambda text: text[:3]

class Base:
    scale = RATES["EUR"]

@dataclass
class Line(Base):
    number: Number = None

    def total(self) -> float:
        return self.scale * (self.number or 0)

@cache
def ratio(of):
    return root(of) if of < 2 else ratio(of - 1)

def even(n):
    return n == 0 or odd(n - 1)

def odd(n):
    return n > 0 and even(n - 1)

unused = open("/etc/hostname")

async def later(value):
    return value

def report(texts: list[str], point: "Point" = Point(1, 2)) -> dict:
    '''Report on texts.'''
    found = Counter(match for text in texts for match in PATTERN.findall(text))
    lines = [Line(int(text)).total() for text in found]
    tree = xml.etree.ElementTree.fromstring("<a/>")
    shown = [shorter(tree.tag + "bcd"), os.path.join("a", "b"), START.year, even(4), ratio(3)]
    return json.loads(json.dumps([lines, shown, point.y, round(pi, 2), RATES["odd"][2]]))
"""


def test_imports_helpers_classes_and_constants_come_along(skills: Skills, shell: Policy):
    with Sandbox(shell, skills=skills) as sandbox:
        fine(sandbox.run_code(HELPERS))
        here = fine(sandbox.run_code("report(['a1', 'b22'])"))
        sandbox.save_skill("report")
    with Sandbox(shell, skills=skills) as sandbox:
        there = fine(sandbox.run_code("skills.report(['a1', 'b22'])"))

    assert there.text == here.text == "[[1.5, 33.0], ['abc', 'a/b', 2026, True, 1.0], 2, 3.14, [1]]"
    text = skills.read("report")
    assert "unused" not in text
    assert "later" not in text
    assert text.count("import json\n") == 1


def test_what_is_spread_over_cells_is_found_in_its_latest_form(skills: Skills, shell: Policy):
    with Sandbox(shell, skills=skills) as sandbox:
        fine(sandbox.run_code("LIMIT = 1\ndef helper(n):\n    return n + LIMIT"))
        fine(sandbox.run_code("def main(n):\n    return helper(n)"))
        fine(sandbox.run_code("LIMIT = 5\ndef helper(n):\n    return n * LIMIT"))
        fine(sandbox.run_code("```python\nalias = main\n```"))
        sandbox.save_skill("alias")
        execution = fine(sandbox.run_code("skills.alias(2)"))

    assert execution.text == "10"
    assert skills.list()[0].signature == "(n)"


def test_a_function_of_a_file_in_the_workspace_can_be_kept(skills: Skills):
    with Sandbox(skills=skills) as sandbox:
        sandbox.files.write(
            "util.py", "import math\nSTEP = 3\ndef up(n):\n    return math.ceil(n) + STEP\n"
        )
        fine(sandbox.run_code("from util import up"))
        sandbox.save_skill("up")
    with Sandbox(skills=skills) as sandbox:
        assert fine(sandbox.run_code("skills.up(1.5)")).text == "5"


def test_annotations_that_are_not_evaluated_stay_so(skills: Skills):
    with Sandbox(skills=skills) as sandbox:
        fine(
            sandbox.run_code(
                "from __future__ import annotations\ndef f(a: Unknown) -> Other:\n    return a"
            )
        )
        sandbox.save_skill("f")
        assert fine(sandbox.run_code("skills.f(1), skills.f.__annotations__")).text == (
            "(1, {'a': 'Unknown', 'return': 'Other'})"
        )


REFUSED = {
    "number": "it is no function that the code defined, but a int",
    "Thing": "it is no function that the code defined, but a type",
    "nothing": "there is nothing called nothing",
    "quick": "quick is a lambda: define it with def",
    "sqrt": "it is no function that the code defined, but a builtin_function_or_method",
    "dumps": "it was not defined by the code, but imported from json",
    "inner": "inner cannot be kept alone, as it uses count of the function in which it was defined",
    "stateful": "it uses thing, a Thing, which cannot be kept in a file: hand it over as an argument",
    "reading": "it uses file, a _io.TextIOWrapper, which cannot be kept in a file",
    "large": "it uses table, a list, which cannot be kept in a file",
    "hidden": "the text of hidden is not known",
    "heavy": "at most 65,536 bytes are kept",
    "foreign": "it uses the module util, a file of the workspace",
    "method": "it is no function that the code defined, but a method",
}


def test_what_cannot_be_kept_is_refused_with_the_reason(skills: Skills):
    code = f"""
    import util
    from json import dumps
    from math import sqrt
    number = 3
    class Thing:
        def method(self): ...
    thing = Thing()
    method = thing.method
    quick = lambda: 1
    def outer():
        count = 0
        def inner():
            return count
        return inner
    inner = outer()
    def stateful():
        return thing
    file = open("/etc/hostname")
    def reading():
        return file.read()
    table = list(range(10_000))
    def large():
        return table
    exec("def hidden(): return 1")
    def foreign():
        return util.x
    def heavy():
        return {"x" * 70_000!r}
    """
    with Sandbox(skills=skills) as sandbox:
        sandbox.files.write("util.py", "x = 1")
        fine(sandbox.run_code(textwrap.dedent(code)))
        for name, why in REFUSED.items():
            with pytest.raises(PolicyError) as caught:
                sandbox.save_skill(name)
            assert why in str(caught.value)
        fine(sandbox.run_code("def fine(): return 1"))
        sandbox.save_skill("fine")
        fine(sandbox.run_code("def fine(): return 2"))
        with pytest.raises(FileError, match="there is a skill 'fine' already"):
            sandbox.save_skill("fine")
        sandbox.save_skill("fine", replace=True)
        assert fine(sandbox.run_code("skills.fine()")).text == "2"


def test_code_that_makes_looking_at_it_fail_costs_itself_alone(skills: Skills):
    code = """
    class Odd:
        def __getattr__(self, name):
            raise KeyError(name)
    odd = Odd()
    def uses():
        return odd
    def says():
        import linecache, builtins
    """
    with Sandbox(skills=skills) as sandbox:
        fine(sandbox.run_code(textwrap.dedent(code)))
        with pytest.raises(PolicyError, match="odd cannot be saved: looking at it failed"):
            sandbox.save_skill("odd")
        with pytest.raises(PolicyError, match="uses cannot be saved"):
            sandbox.save_skill("uses")
        assert sandbox.save_skill("says").name == "says"


# -- with tools -----------------------------------------------------------------------------------


def test_a_skill_calls_the_tools_of_the_sandbox_that_it_is_used_in(skills: Skills):
    with Sandbox(skills=skills, tools=Toolset.of(order, name="shop")) as sandbox:
        code = "def total(numbers):\n    return sum(shop.order(n)['total'] + order(n)['number'] for n in numbers)"
        fine(sandbox.run_code(code))
        sandbox.save_skill("total")
        here = fine(sandbox.run_code("skills.total([1, 2])"))
    with Sandbox(skills=skills, tools=Toolset.of(order, name="shop")) as sandbox:
        there = fine(sandbox.run_code("skills.total([3])"))
    with Sandbox(skills=skills) as sandbox:
        without = sandbox.run_code("skills.total([3])")

    assert (here.text, there.text) == ("33", "33")
    assert [call.outcome for call in there.tool_calls] == ["ok", "ok"]
    assert without.error is not None
    assert without.error.value == "name 'shop' is not defined"


def test_a_skill_may_use_another_skill(skills: Skills):
    skills.save("twice", TWICE)
    with Sandbox(skills=skills) as sandbox:
        fine(
            sandbox.run_code(
                "from skills import twice\ndef four(n):\n    return twice(n) + skills.twice(n)"
            )
        )
        sandbox.save_skill("four")
    with Sandbox(skills=skills) as sandbox:
        assert fine(sandbox.run_code("skills.four(1)")).text == "4"


def test_skills_are_found_and_described_beside_the_tools(skills: Skills):
    skills.save("twice", TWICE)
    with Sandbox(skills=skills, tools=Toolset.of(order, name="shop")) as sandbox:
        code = """
        print(search_tools("two times a number")[0])
        print(describe(skills.twice))
        print(tools, "skills.twice" in tools, search_tools("number", server="skills"))
        """
        execution = fine(sandbox.run_code(textwrap.dedent(code)))
        shown = sandbox.catalogue()
        skills.save("third", "def third(): ...\n")
        changed = sandbox.catalogue(refresh=True)

    call = "skills.twice(number=int)  # gives int; Two times a number"
    assert output(execution).splitlines() == [
        call,
        "# call it as skills.twice(...)",
        "def twice(number: int) -> int:",
        '    """Two times a number."""',
        f"2 tools: shop (1), skills (1) True {call}",
    ]
    assert "class skills:  # call as skills.twice(...)" in shown.text
    assert changed.changes.new == ("skills/third",)


def test_a_skill_is_called_as_python_calls_a_function(skills: Skills):
    with Sandbox(skills=skills) as sandbox:
        fine(
            sandbox.run_code(
                "def shown(value: str, *more, last=None):\n    return value, more, last"
            )
        )
        sandbox.save_skill("shown")
        taken = fine(sandbox.run_code("skills.shown({'value': 1}, 2, last=3)"))
        wrong = sandbox.run_code("skills.shown(**{'first': 1})")

    assert taken.text == "({'value': 1}, (2,), 3)"
    assert wrong.error is not None
    assert wrong.error.name == "TypeError"


# -- asked for by the code ------------------------------------------------------------------------


def test_code_may_keep_a_function_where_somebody_agrees(skills: Skills, shell: Policy):
    asked: list[SkillRequest] = []

    def consent(request: SkillRequest) -> bool:
        asked.append(request)
        return True

    with Sandbox(shell, skills=Skills(skills.folder, consent=consent)) as sandbox:
        fine(sandbox.run_code("STEP = 2"))
        first = fine(
            sandbox.run_code(
                "def up(n: int) -> int:\n    'Up.'\n    return n + STEP\nsave_skill(up)"
            )
        )
        second = fine(sandbox.run_code("skills.save('up', 'further', replace=True)"))
        third = fine(
            sandbox.run_code("def up(n):\n    return n + 3\nawait save_skill(up, replace=True)")
        )
        used = fine(sandbox.run_code("skills.up(1), skills.further(1)"))

    assert first.text == "'it is skills.up(n: int) -> int, from the next execution on'"
    assert (second.status, third.status, used.text) == ("ok", "ok", "(4, 3)")
    assert asked[0] == SkillRequest(
        name="up",
        source="STEP = 2\n\n\ndef up(n: int) -> int:\n    'Up.'\n    return n + STEP\n",
        signature="(n: int) -> int",
        doc="Up.",
    )
    assert [request.name for request in asked] == ["up", "further", "up"]
    assert asked[2].replaces != "" == asked[0].replaces
    (call,) = first.tool_calls
    assert (call.server, call.tool, call.outcome, call.approval) == (
        "skills",
        "save",
        "ok",
        "approved",
    )


def saved_by(sandbox: Sandbox, code: str = "save_skill(twice)") -> tuple[str, str, list[ToolCall]]:
    """The error that the code gets, and what the log has of it."""
    fine(sandbox.run_code(TWICE))
    execution = sandbox.run_code(code)
    assert execution.error is not None
    return execution.error.name, execution.error.value, list(execution.tool_calls)


def test_without_anybody_who_agrees_code_is_denied(skills: Skills):
    with Sandbox(skills=skills, tools=Tools(toolset=Toolset(), approve=lambda _: True)) as sandbox:
        name, text, _ = saved_by(sandbox)
        forced = sandbox.run_code(
            f"call_tool('skills/save', {{'function': 'f', 'source': {TWICE!r}}})"
        )

    assert (name, text[:28]) == ("ToolDeniedError", "nobody is there to agree tha")
    assert forced.error is not None
    assert forced.error.name == "ToolNotFoundError"
    assert skills.list() == ()


def test_who_does_not_agree_says_why_and_nothing_is_written(skills: Skills):
    with Sandbox(skills=agreeing(skills, allowed=False, reason="too simple")) as sandbox:
        name, text, calls = saved_by(sandbox)

    assert (name, "too simple" in text) == ("ToolDeniedError", True)
    assert [(call.outcome, call.kind) for call in calls] == [("error", "denied")]
    assert skills.list() == ()


def test_who_fails_to_decide_does_not_agree(skills: Skills):
    def fails(_: SkillRequest) -> bool:
        raise LookupError

    with Sandbox(skills=Skills(skills.folder, consent=fails)) as sandbox:
        name, text, _ = saved_by(sandbox)
    assert (name, "consent= failed (LookupError)" in text) == ("ToolDeniedError", True)
    assert skills.list() == ()


def test_who_agrees_may_change_what_is_kept(skills: Skills):
    text = TWICE.replace("2 *", "20 *")
    changed = {"function": "twice", "source": text}
    with Sandbox(skills=agreeing(skills, allowed=True, arguments=changed)) as sandbox:
        fine(sandbox.run_code(TWICE + "save_skill(twice)"))
        assert fine(sandbox.run_code("skills.twice(1)")).text == "20"


@pytest.mark.parametrize(
    "arguments, why",
    [
        ({"function": "../evil", "source": TWICE}, "a skill cannot be called '../evil'"),
        ({"function": "save", "source": TWICE}, "a skill cannot be called 'save'"),
        ({"function": "twice"}, "the source of a skill is NoneType"),
        ({"function": "twice", "source": 3}, "the source of a skill is int"),
        ({"function": ["twice"], "source": TWICE}, "a skill cannot be called ['twice']"),
        ({"function": "twice", "source": TWICE, "replace": 1}, "replace is True or False"),
        ({"function": "twice", "source": "#" * 100_000}, "too large"),
        ({"function": "other", "source": TWICE}, "does not define other"),
        ({"function": "twice", "source": TWICE + "# \u202e"}, "no screen shows"),
        ({"source": TWICE}, "function is missing"),
    ],
)
def test_hostile_code_cannot_keep_what_is_no_skill(
    skills: Skills, arguments: dict[str, Any], why: str
):
    asked: list[SkillRequest] = []

    def consent(request: SkillRequest) -> bool:
        asked.append(request)
        return True

    with Sandbox(skills=Skills(skills.folder, consent=consent)) as sandbox:
        # By a name that is no text: the look before the code runs is not what holds.
        execution = sandbox.run_code(f"call_tool('skills' + '/save', {arguments!r})")

    assert execution.error is not None
    assert (execution.error.name, why in execution.error.value) == ("ToolValidationError", True)
    assert (asked, os.listdir(skills.folder)) == ([], [])


def test_code_cannot_call_a_skill_on_the_host(skills: Skills):
    skills.save("twice", TWICE)
    code = "import gc\nbox = [o for o in gc.get_objects() if type(o).__name__ == 'Toolbox'][0]\n"
    code += "import sys\nbox._perform('skills/twice', {'number': 1}, sys._getframe())"
    with Sandbox(skills=skills) as sandbox:
        execution = sandbox.run_code(code)

    assert execution.error is not None
    assert "a skill is a function in the sandbox" in execution.error.value


def test_in_asyncio_a_person_may_take_time_to_agree(skills: Skills):
    async def consent(request: SkillRequest) -> Approval:
        await asyncio.sleep(0)
        return Approval(allowed=request.name == "twice", reason="only that one")

    async def main() -> tuple[str | None, str]:
        async with AsyncSandbox(skills=Skills(skills.folder, consent=consent)) as sandbox:
            fine(await sandbox.run_code(TWICE + "save_skill(twice)"))
            denied = await sandbox.run_code("def no(): ...\nsave_skill(no)")
            assert denied.error is not None
            fine(await sandbox.run_code("def third(n): return n / 3"))
            saved = await sandbox.save_skill("third")
            used = fine(await sandbox.run_code("skills.twice(1), skills.third(3)"))
            return used.text, f"{denied.error.name} {saved.signature}"

    assert asyncio.run(main()) == ("(2, 1.0)", "ToolDeniedError (n)")
