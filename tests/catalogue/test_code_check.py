"""Code is looked at before it runs: what is wrong is told, and what would work is never refused."""

import pytest

from protocell.tools.tool import Parameter
from protocell_guest.card_index import MOST_PARAMETERS
from tests.catalogue.checking import Checked, CodeCheck
from tests.catalogue.tools import ISSUE, catalogue, of, tool

MOVE = of({"from": {"type": "string"}, "to": {"type": "string"}}, "from", "to")
STORE = of({"entry": {"type": "object"}, "where": {"type": "string"}}, "entry")
OPEN = of({"a": {"type": "integer"}}, "a", additionalProperties=True)
EITHER = of({"entry": {"type": ["string", "object"]}}, "entry")
LARGE = of({f"p{number}": {"type": "integer"} for number in range(MOST_PARAMETERS + 20)})
ANY = (
    Parameter(name="rest", identifier="rest", schema={}, required=True, kind="variadic"),
    Parameter(name="more", identifier="more", schema={}, required=False, kind="keywords"),
)
BY_NAME = (
    Parameter(name="b", identifier="b", schema={}, required=True, kind="keyword_only"),
    Parameter(name="a", identifier="a", schema={"type": "integer"}, required=False, kind="normal"),
)
AREA = (
    Parameter(name="r", identifier="r", schema={}, required=True, kind="normal"),
    Parameter(name="k", identifier="k", schema={}, required=False, kind="keyword_only"),
)
ODD = (
    Parameter(name="a", identifier="a", schema={}, required=True, kind="positional_only"),
    Parameter(name="more", identifier="more", schema={}, required=False, kind="keywords"),
)
CHECK = CodeCheck(
    catalogue(
        tool("create-issue", schema=ISSUE),
        tool("list_issues", schema=of({"repo": {"type": "string"}})),
        tool("read", "files", of({"path": {"type": "string"}}, "path")),
        tool("move", "files", MOVE),
        tool("store", "files", STORE),
        tool("free", "files", OPEN),
        tool("put", "files", EITHER),
        tool("large", "files", LARGE),
        tool("any", "files", parameters=ANY),
        tool("kwo", "own", of({"a": {}, "b": {}}), parameters=BY_NAME),
        tool("echo", "own", of({"X-Trace": {"type": "string"}})),
        tool("area", "skills", of({"r": {}, "k": {}}), parameters=AREA),
        tool("odd", "skills", parameters=ODD),
    )
)


def check(code: str, **more) -> Checked:
    return CHECK.check(code, **more)


WORKS = [
    "github.create_issue(owner='a', repo='b', title='c')",
    "github.create_issue('a', 'b', 'c', state='open')",
    "github.create_issue({'owner': 'a', 'repo': 'b', 'title': 'c'})",
    "github.create_issue(**arguments)",
    "github.create_issue(*arguments)",
    "github.create_issue(arguments)",
    "create_issue.raw(owner='a', repo='b', title='c')",
    "files.move(from_='a', to='b')",
    "files.move({'from': 'a', 'to': 'b'})",
    "files.store({'anything': 1})",
    "files.free(a=1, b=2)",
    "files.put({'anything': 1})",
    "files.large(p0=1, p519=2)",
    "files.large({'p519': 2})",
    "call_tool('files/large', {'p519': 2})",
    "files.any(1, 2, 3, x=4)",
    "call_tool('github/create-issue', {'owner': 'a', 'repo': 'b', 'title': 'c'})",
    "call_tool('github/create-issue', owner='a', repo='b', title='c')",
    "call_tool('github/create-issue', arguments)",
    "call_tool(name, {})",
    "github = Other()\ngithub.whatever()",
    "import files\nfiles.whatever()",
    "from things import *\nfiles.whatever()",
    "def f(github):\n    return github.whatever()",
    "files.own = 1\nfiles.own",
    "exec('files = other')\nfiles.whatever()",
    "patch(files)\nfiles.whatever()",
    "hasattr(files, 'whatever')",
    "for files in (1, 2):\n    files.bit_length()",
    "[files.bit_length() for files in (1, 2)]",
    "unknown_function(whatever=1)",
    "github.__name__",
    "files._private",
    "if False:\n    files.whatever()",
    "x = 1\nraise SystemExit\nfiles.whatever()",
    "match 1:\n    case files:\n        files.whatever()",
    "class files:\n    pass\nfiles.whatever()",
    "kwo(3, b='x')",
    "kwo({'b': 'x'})",
    "kwo(x)",
    "skills.area({'anything': 1})",
    "skills.odd(1, a=2)",
    "skills.save(f)",
    "asyncio.run(skills.area(1))",
    "from files import read, move as m",
    "from .files import whatever",
    "from files.more import whatever",
    "open('files.py', 'w')\nfrom files import whatever",
    "files = other\nfrom files import whatever",
]


@pytest.mark.parametrize("code", WORKS)
def test_what_works_or_may_work_is_not_mentioned(code: str):
    assert check(code) == Checked(code=code)


PERHAPS = [
    "if x:\n    files.whatever()",
    "x and files.whatever()",
    "files.whatever() if x else 1",
    "try:\n    files.whatever()\nexcept AttributeError:\n    pass",
    "try:\n    f()\nexcept Exception:\n    files.whatever()",
    "def f():\n    files.whatever()",
    "def f():\n    files.whatever()\ntry:\n    f()\nexcept Exception:\n    pass",
    "with suppress(Exception):\n    files.whatever()",
    "[files.whatever() for x in y if x]",
    "if not x:\n    raise SystemExit\nfiles.whatever()",
    "if not x:\n    return 1\nfiles.whatever()",
    "while x:\n    files.whatever()",
    "for x in y:\n    if x:\n        continue\n    files.whatever()",
    "f = lambda: files.whatever()",
    "match x:\n    case 1:\n        files.whatever()",
    "assert x, files.whatever()",
    "for x in y:\n    pass\nelse:\n    files.whatever()",
    "1 < x < files.whatever()",
    "def f():\n    files.whatever()\nif x:\n    f()",
    "def f():\n    files.whatever()\ndef g():\n    f()",
    "await asyncio.gather(*[files.whatever(n) for n in x], return_exceptions=True)",
    "calls = [files.whatever(n) for n in x]\nawait asyncio.gather(*calls, return_exceptions=True)",
]


@pytest.mark.parametrize("code", PERHAPS)
def test_what_is_perhaps_not_reached_is_a_warning(code: str):
    found = check(code)

    assert found.refusal == ""
    assert "there is no tool files.whatever" in found.warning


SURE = [
    "files.whatever()",
    "print(files.whatever)",
    "list(map(files.whatever, x))",
    "for x in y:\n    files.whatever(x)",
    "for x in y:\n    if x:\n        break\nfiles.whatever()",
    "[files.whatever(x) for x in y]",
    "async def main():\n    await files.whatever()\nawait main()",
    "with open('x') as file:\n    files.whatever()",
    "try:\n    files.whatever()\nfinally:\n    pass",
    "if files.whatever():\n    pass",
    "while True:\n    files.whatever()",
    "return files.whatever()",
    "f'{files.whatever()}'",
    "def f(x=files.whatever()):\n    pass",
    "x = [*files.whatever()]",
    "if True:\n    files.whatever()",
    "class A:\n    files.whatever()",
    "await asyncio.gather(*(files.whatever(x) for x in y))",
    "def f():\n    files.whatever()\ndef g():\n    f()\nprint(g())",
    "def f():\n    files.whatever()\nlist(map(f, x))",
    "class A:\n    def f(self):\n        files.whatever()\nA().f()",
]


@pytest.mark.parametrize("code", SURE)
def test_what_is_reached_is_refused(code: str):
    found = check(code)

    assert found.refusal.startswith("Nothing has run.\nline ")
    assert found.warning == ""


def test_a_refusal_names_line_place_and_nearest_tool():
    assert check("x = 1\ny = github.create_isue(1)").refusal == (
        "Nothing has run.\n"
        "line 2: there is no tool github.create_isue; did you mean github.create_issue or github.list_issues?\n"
        "    y = github.create_isue(1)\n"
        "        ^"
    )


def test_a_caret_stands_under_the_place_after_wide_characters_too():
    assert check("x = 'äöü🙂', files.whatever").refusal.split("\n")[-1] == "    " + " " * 12 + "^"


ISSUE_PARAMETERS = " Parameters (* = required): owner*, repo*, title*, body, state"


@pytest.mark.parametrize(
    "code, text",
    [
        ("create_issue(owner='a', repo='b', titel='c')",
         "github.create_issue has no parameter 'titel' (did you mean title?) and needs title." + ISSUE_PARAMETERS),
        ("create_issue(owner='a', repo='b', title='c', zzz=1)",
         "github.create_issue has no parameter 'zzz'." + ISSUE_PARAMETERS),
        ("create_issue('a', 'b', 'c', owner='d')",
         "github.create_issue gets 'owner' twice." + ISSUE_PARAMETERS),
        ("create_issue('a')",
         "github.create_issue needs repo, title." + ISSUE_PARAMETERS),
        ("create_issue({'owner': 'a', 'repo': 'b'})",
         "github.create_issue needs title." + ISSUE_PARAMETERS),
        ("create_issue(1, 2, 3, 4, 5, 6)",
         "github.create_issue takes 5 arguments by position, 6 are given." + ISSUE_PARAMETERS),
        ("call_tool('github/create-issue', {'owner': 1}, repo=2)",
         "github.create_issue needs title." + ISSUE_PARAMETERS),
        ("call_tool('github/create-isue')",
         "there is no tool github/create-isue; did you mean github/create-issue or github/list_issues?"),
        ("files.read()",
         "files.read needs path. Parameters (* = required): path*"),
        ("kwo(3)", "own.kwo needs b. Parameters (* = required): b*, a"),
        ("kwo(3, 4)",
         "own.kwo takes 1 argument by position, 2 are given (by name alone: b). Parameters (* = required): b*, a"),
        ("kwo({'c': 1}, b=1, d=2)",
         "own.kwo has no parameter 'd'. Parameters (* = required): b*, a"),
        ("own.echo(x_trace='1')",
         "own.echo has no parameter 'x_trace' (did you mean X_Trace?). Parameters (* = required): X_Trace"),
        ("skills.aera()", "there is no tool skills.aera; did you mean skills.area or skills.odd?"),
        ("skills.area(rr=1)",
         "skills.area has no parameter 'rr' (did you mean r?) and needs r. Parameters (* = required): r*, k"),
        ("from files import lrage, read",
         "there is no tool files.lrage; did you mean files.large or files.free or files.read?"),
    ],
)  # fmt: skip
def test_arguments_that_cannot_fit_are_told_with_those_that_would(code: str, text: str):
    (problem,) = check(code).problems

    assert (problem.text, problem.sure) == (text, True)


def test_a_name_that_earlier_code_bound_is_not_looked_at():
    assert check("files.whatever()", rebound={"files"}) == Checked(code="files.whatever()")


CREATE = "there is no tool {}; did you mean github.create_issue?"


@pytest.mark.parametrize(
    "code, unknown, text",
    [
        ("create_isue()", "create_isue", CREATE),
        ("gitlab.create_issue()", "gitlab", CREATE.replace("{}", "gitlab.create_issue")),
        ("files.read('a')", "files",
         "there is no tool files.read under that name any more; write call_tool('files/read', {...})"),
    ],
)  # fmt: skip
def test_a_name_that_means_nothing_is_told_where_it_is_like_a_tool(
    code: str, unknown: str, text: str
):
    (problem,) = check(code, unknown={unknown}).problems

    assert (problem.text, problem.sure) == (text.replace("{}", unknown), True)


def test_of_a_namespace_that_is_gone_other_ways_to_its_tools_are_told():
    refusal = check("mov()", unknown={"mov", "files"}).refusal

    assert "did you mean call_tool('files/move', {...})?" in refusal


@pytest.mark.parametrize("code", ["undefined()", "x = create_isue", "json.read()", "text()"])
def test_a_name_that_means_nothing_and_is_like_no_tool_is_left_to_python(code: str):
    assert check(code, unknown={"undefined", "create_isue", "json", "text"}) == Checked(code=code)


@pytest.mark.parametrize(
    "code",
    [
        "import builtins\nbuiltins.create_isue = f\ncreate_isue()",
        "f.__globals__['create_isue'] = f\ncreate_isue()",
        "define('create_isue')\ncreate_isue()",
    ],
)
def test_a_name_that_may_come_to_mean_something_is_no_reason_to_refuse(code: str):
    found = check(code, unknown={"create_isue"})

    assert found.refusal == ""
    assert "there is no tool create_isue; did you mean github.create_issue?" in found.warning


def test_of_very_many_names_that_may_mean_nothing_some_are_told():
    found = check("'gitlab'\n" + "gitlab.create_issue()\n" * 1000, unknown={"gitlab"})

    assert len(found.problems) == 10


def test_of_very_many_problems_some_are_told():
    assert len(check("files.whatever()\n" * 1000).problems) == 10


def test_code_that_is_too_long_or_too_deep_is_left_to_the_sandbox():
    long = "files.whatever()\n" * 20_000

    assert check(long) == Checked(code=long)
    assert "files" not in check("-" * 100_000 + "files.whatever()").refusal


def test_a_syntax_error_has_its_line_and_a_caret():
    assert check("x = 1\ny = = 2").refusal == (
        "SyntaxError in line 2: invalid syntax\n    y = = 2\n        ^"
    )


@pytest.mark.parametrize(
    "code, advice",
    [
        ('x = 1\\nprint(\\"a\\")\\n)',
         "It has \\n where its lines should end, so it was escaped twice: send it with real line ends."),
        ('x = 1\nprint(\\"a\\")',
         'It has \\" where quotes should be, so it was escaped twice: send it with plain quotes.'),
        ("```python\nx\n```\nor\n```python\ny\n```",
         "It has several fenced blocks: send the code of one, without fences."),
        ("```bash\nls\n```", "The fenced block is in another language: send Python."),
        ("const x = await files.read({path: 'a'});", "This looks like JavaScript: send Python."),
    ],
)  # fmt: skip
def test_what_may_be_wrong_with_code_is_told(code: str, advice: str):
    assert check(code).refusal.split("\n")[-1] == advice


@pytest.mark.parametrize(
    "code",
    [
        'print("a\\n"',
        "print('it is\\n' + x",
        'x = "say \\"hi\\"" +',
    ],
)
def test_texts_that_are_right_are_not_taken_for_what_is_wrong(code: str):
    assert check(code).refusal.split("\n")[-1].strip() == "^"


@pytest.mark.parametrize("odd", ["\0", "\ud800", "", "   ", "\n", "#", "\ufeffx = 1", "\x0c"])
def test_any_text_can_be_looked_at(odd: str):
    assert isinstance(check(odd), Checked)


@pytest.mark.parametrize(
    "code",
    [
        "import asyncio\nasyncio.run(files.read('a'))",
        "asyncio.get_event_loop().run_until_complete(read('a'))",
        "asyncio.run(call_tool('files/read', {'path': 'a'}))",
    ],
)
def test_a_value_is_not_handed_to_an_event_loop(code: str):
    assert "a call of a tool gives its value: write x = " in check(code).refusal


@pytest.mark.parametrize(
    "code",
    [
        "asyncio.run(main(files.read('a')))",
        "import things as asyncio\nasyncio.run(files.read('a'))",
        "async def f():\n    await g()\nasyncio.run(files.read('a'))",
        "def run_until_complete(x): ...\nself.run_until_complete(files.read('a'))",
    ],
)
def test_what_may_be_awaitable_may_be_handed_to_an_event_loop(code: str):
    assert check(code) == Checked(code=code)
