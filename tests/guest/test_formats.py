"""Values come out in all their forms as in a notebook, and no hook of theirs does harm by accident."""

import base64
import json
import math
import subprocess
import sys
from typing import Any

import pytest

from protocell_guest.guest import formats, mime_bundles
from protocell_guest.guest.formats import formats_of, has_own_forms
from protocell_guest.guest.mime_bundles import texts_of
from tests.guest.children import SOURCE

PNG = b"\x89PNG\r\n\x1a\n"


class Plain:
    """Base of the values below: a text that is always the same."""

    def __repr__(self) -> str:
        return "plain"


class Rich(Plain):
    """All hooks, each with what it should give."""

    def _repr_html_(self) -> str:
        return "<b>é</b>"

    def _repr_markdown_(self) -> tuple[str, dict[str, int]]:
        return "**b**", {"width": 1}

    def _repr_svg_(self) -> str:
        return "<svg/>"

    def _repr_png_(self) -> bytes:
        return PNG

    def _repr_pdf_(self) -> bytes:
        return b"%PDF"

    def _repr_jpeg_(self) -> str:
        return base64.b64encode(b"JFIF").decode()

    def _repr_latex_(self) -> str:
        return "$x$"

    def _repr_json_(self) -> dict[str, object]:
        return {"a": [1, None]}

    def _repr_javascript_(self) -> str:
        return "alert(1)"


class Bundle(Plain):
    """A bundle with metadata, which goes before the single hooks."""

    def _repr_mimebundle_(self, include: object, exclude: object) -> tuple[Any, Any]:
        assert (include, exclude) == (None, None)
        return {"text/html": "bundle", "application/vnd.x+json": {"n": math.nan}}, {"text/html": {}}

    def _repr_html_(self) -> str:
        raise AssertionError("not asked")

    def _repr_latex_(self) -> str:
        return "$y$"


class Failing(Plain):
    """Hooks that fail in every way but one."""

    def _repr_mimebundle_(self, **_: object) -> object:
        raise GeneratorExit("bundle")

    def _repr_html_(self) -> str:
        return str(1 / 0)

    def _repr_markdown_(self) -> str:
        raise NotImplementedError

    def _repr_svg_(self) -> object:
        return 7

    def _repr_png_(self) -> object:
        return [1]

    _repr_latex_ = None

    def _repr_json_(self) -> object:
        loop: list[object] = []
        loop.append(loop)
        return loop

    def _repr_javascript_(self) -> str:
        return "fine"


class EverythingIsThere(Plain):
    """A proxy that claims to have every attribute."""

    def __getattr__(self, name: str) -> object:
        return lambda: "nonsense"


class NothingIsThere(Plain):
    """An object whose attributes fail."""

    def __getattribute__(self, name: str) -> Any:
        raise ZeroDivisionError(name)


class NoText:
    """An object without a text, but with HTML."""

    def __repr__(self) -> str:
        raise ValueError("no text")

    def _repr_html_(self) -> str:
        return "html"


VALUES = [
    1,
    -(2**70),
    True,
    1.5,
    "text\n'",
    b"\x00",
    [None, 1],
    (1,),
    {"b": None, "a": [1, (2, None)]},
    {3},
    [],
    {},
    set(),
    range(3),
    1j,
    ...,
    Rich(),
    Bundle(),
    Failing(),
    EverythingIsThere(),
    NothingIsThere(),
    NoText(),
    Rich,
]


# -- hooks -------------------------------------------------------------------------------------------


def test_all_hooks_are_asked_and_binary_forms_are_base64():
    assert formats_of(Rich()) == {
        "text/plain": "plain",
        "text/html": "<b>é</b>",
        "text/markdown": "**b**",
        "image/svg+xml": "<svg/>",
        "image/png": base64.b64encode(PNG).decode(),
        "application/pdf": base64.b64encode(b"%PDF").decode(),
        "image/jpeg": base64.b64encode(b"JFIF").decode(),
        "text/latex": "$x$",
        "application/json": '{"a":[1,null]}',
        "application/javascript": "alert(1)",
    }


def test_a_bundle_goes_before_single_hooks():
    assert formats_of(Bundle()) == {
        "text/plain": "plain",
        "text/html": "bundle",
        "application/vnd.x+json": '{"n":null}',
        "text/latex": "$y$",
    }


def test_hooks_that_fail_leave_their_form_out_and_say_so(capsys: pytest.CaptureFixture[str]):
    forms = formats_of(Failing())

    assert sorted(forms) == ["application/javascript", "application/json", "text/plain"]
    json.loads(forms["application/json"])
    assert capsys.readouterr().err == (
        "Failing: _repr_mimebundle_ raised GeneratorExit: bundle\n"
        "Failing: _repr_html_ raised ZeroDivisionError: division by zero\n"
    )


@pytest.mark.parametrize("kind", [EverythingIsThere, NothingIsThere])
def test_an_object_with_all_attributes_or_none_is_its_text(kind: type[Plain]):
    assert formats_of(kind()) == {"text/plain": "plain"}


def test_a_value_without_text_says_so():
    assert formats_of(NoText()) == {
        "text/plain": "<NoText object whose repr raised ValueError: no text>",
        "text/html": "html",
    }


def test_a_class_is_not_shown_as_its_instances_are():
    assert formats_of(Rich) == {"text/plain": repr(Rich)}


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("hook", ["__repr__", "_repr_html_", "_repr_mimebundle_"])
def test_an_interrupt_passes_through_hooks(hook: str, error: type[BaseException]):
    def method(_self: object, **_: object) -> str:
        raise error

    with pytest.raises(error):
        formats_of(type("Stopping", (), {hook: method})())


def test_a_broken_standard_error_does_no_harm(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stderr", None)

    assert formats_of(Failing())["application/javascript"] == "fine"


def test_forms_without_bound_are_left_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mime_bundles, "MOST_CHARACTERS", 1000)
    monkeypatch.setattr(formats, "MOST_CHARACTERS", 1000)
    huge = type(
        "Huge",
        (),
        {
            "__repr__": lambda _: "r" * 5000,
            "_repr_html_": lambda _: "h" * 5000,
            "_repr_png_": lambda _: b"p" * 5000,
            "_repr_latex_": lambda _: "small",
        },
    )()
    forms = formats_of(huge)

    assert sorted(forms) == ["text/latex", "text/plain"]
    assert len(forms["text/plain"]) == 1000


def test_odd_bundles_are_made_into_text():
    class Text(str):
        __slots__ = ()

    given = {
        "text/html": Text("<p>\ud800"),
        "text/plain": b"caf\xc3\xa9",
        "image/png": bytearray(PNG),
        "image/svg+xml": b"<svg/>",
        "application/json": {1: {2, 3}, "f": math.inf, "o": Plain()},
        "application/pdf": ["no"],
        "text/markdown": None,
        "nonsense": "x",
        7: "x",
        "text/" + "x" * 500: "x",
    }

    assert texts_of(given) == {
        "text/html": "<p>?",
        "text/plain": "café",
        "image/png": base64.b64encode(PNG).decode(),
        "image/svg+xml": "<svg/>",
        "application/json": '{"1":[2,3],"f":null,"o":"plain"}',
    }
    assert type(texts_of(given)["text/html"]) is str


# -- with IPython ------------------------------------------------------------------------------------

_WITH_SHELL = """
import sys
sys.path[:0] = sys.argv[1:3]
import json
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
from protocell_guest.guest.formats import formats_of
"""


def with_shell(code: str) -> Any:
    """What the code leaves in ``found``, in a process with a live IPython."""
    pytest.importorskip("IPython")
    root = str(__import__("pathlib").Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", f"{_WITH_SHELL}{code}\nprint(json.dumps(found))", SOURCE, root],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"MPLBACKEND": "agg", "HOME": "/tmp"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_live_ipython_gives_the_same_forms():
    found = with_shell(
        "from tests.guest.test_formats import VALUES\nfound = [formats_of(one) for one in VALUES]"
    )
    plain = [formats_of(value) for value in VALUES]
    # The name of a class is without "class" there, as in every notebook.
    plain[-1] = {"text/plain": "tests.guest.test_formats.Rich"}

    assert found == plain


def test_what_the_code_registers_with_ipython_counts():
    assert with_shell("""
formatters = shell.display_formatter.formatters
formatters["text/html"].for_type(int, lambda n: f"<i>{n}</i>")
formatters["text/plain"].for_type(complex, lambda c, p, cycle: p.text("complex!"))
formatters["text/latex"].for_type(complex, lambda c: 1 / 0)
class Bundle:
    def _repr_mimebundle_(self, **kw): return {"text/plain": "b", "text/html": "from the bundle"}
formatters["text/html"].for_type(Bundle, lambda b: "registered")
shell.run_line_magic("precision", "2")
found = [formats_of(7), formats_of(1j), formats_of(Bundle()), formats_of(1 / 3)]
""") == [
        {"text/plain": "7", "text/html": "<i>7</i>"},
        {"text/plain": "complex!"},
        {"text/plain": "b", "text/html": "registered"},
        {"text/plain": "0.33"},
    ]


def test_frames_and_figures_have_our_forms_and_those_that_were_registered():
    pytest.importorskip("pandas")
    pytest.importorskip("matplotlib_inline")

    assert with_shell("""
import matplotlib.pyplot as plt, pandas
shell.enable_gui = lambda gui: None
shell.run_line_magic("matplotlib", "inline")
shell.run_line_magic("config", "InlineBackend.figure_formats = ['svg']")
shell.display_formatter.formatters["text/html"].for_type(pandas.DataFrame, lambda f: "mine")
figure, axes = plt.subplots()
axes.plot([1, 2])
frame = formats_of(pandas.DataFrame({"a": [1]}))
found = [sorted(formats_of(figure)), sorted(frame), frame["text/html"]]
""") == [
        ["application/vnd.protocell.chart+json", "image/svg+xml", "text/plain"],
        ["application/vnd.protocell.data+json", "text/html", "text/plain"],
        "mine",
    ]


# -- packages ----------------------------------------------------------------------------------------


def test_a_picture_of_pillow_is_png_alone():
    image = pytest.importorskip("PIL.Image")
    forms = formats_of(image.new("RGB", (2, 3)))

    assert sorted(forms) == ["image/png", "text/plain"]
    assert base64.b64decode(forms["image/png"]).startswith(PNG)


def test_a_formula_of_sympy_is_latex():
    sympy = pytest.importorskip("sympy")
    x = sympy.Symbol("x")

    assert formats_of(sympy.Integral(x**2, x)) == {
        "text/plain": "Integral(x**2, x)",
        "text/latex": r"$\displaystyle \int x^{2}\, dx$",
    }


def test_arrays_of_numpy_are_their_bounded_text():
    numpy = pytest.importorskip("numpy")

    forms = formats_of(numpy.zeros(1_000_000))

    assert forms == {"text/plain": repr(numpy.zeros(1_000_000))}
    assert len(forms["text/plain"]) < 100


def test_only_frames_figures_and_charts_have_forms_of_ours():
    pandas = pytest.importorskip("pandas")

    assert [has_own_forms(value) for value in (pandas.DataFrame(), Rich(), 1)] == [
        True,
        False,
        False,
    ]


def test_nothing_of_it_loads_a_package():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); before = set(sys.modules);"
        "from protocell_guest.guest import formats; formats.formats_of([1, {2: 'x'}]);"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, SOURCE],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    assert set(done.stdout.split()) - {"protocell_guest"} <= sys.stdlib_module_names
