"""Figures of matplotlib come out once each, however the code shows them, as the picture a notebook gives."""

import base64
import gc
import io
import json
import subprocess
import sys
import weakref
from typing import Any

import pytest

from protocell_guest.guest import figures
from protocell_guest.guest.charts import CHART
from protocell_guest.guest.figures import MOST_PIXELS, formats_of_figure, is_figure, is_shown
from tests.guest.children import SOURCE
from tests.guest.plots import matplotlib, plt, shown

__all__ = ["shown"]


def size(figure: Any) -> tuple[int, int]:
    image = pytest.importorskip("PIL.Image")
    picture = image.open(io.BytesIO(base64.b64decode(formats_of_figure(figure)["image/png"])))
    width, height = picture.size
    return width, height


def line() -> Any:
    figure, axes = plt.subplots()
    axes.plot([1, 2, 3])
    return figure


# -- once each ---------------------------------------------------------------------------------------


def test_show_gives_all_open_figures_in_order_and_closes_them(shown: list[Any]):
    first, second = line(), line()
    plt.figure(first.number)  # the order of last use is another one

    plt.show()

    assert shown == [first, second]
    assert plt.get_fignums() == []
    assert figures.take_open() == []


def test_figures_left_open_are_taken_once_and_closed(shown: list[Any]):
    first, second = line(), line()

    assert figures.take_open() == [first, second]
    assert figures.take_open() == []
    assert (plt.get_fignums(), shown) == ([], [])


def test_a_figure_that_was_displayed_is_not_taken_again(shown: list[Any]):
    figure = line()

    formats_of_figure(figure)

    assert is_shown(figure)
    assert figures.take_open() == []
    assert plt.get_fignums() == []


def test_a_figure_that_was_saved_after_it_was_displayed_is_not_taken_again(shown: list[Any]):
    figure = line()
    formats_of_figure(figure)
    figure.savefig(io.BytesIO())
    figure.axes[0].set_title("", color="red")

    assert figures.take_open() == []


def test_a_figure_that_has_changed_since_it_was_displayed_is_taken_again(shown: list[Any]):
    figure = line()
    formats_of_figure(figure)
    figure.axes[0].set_title("new")

    assert not is_shown(figure)
    assert figures.take_open() == [figure]


def test_a_figure_shows_itself(shown: list[Any]):
    figure = line()

    figure.show()
    formats_of_figure(shown[0])
    figure.show()
    plt.show()

    assert shown == [figure]
    assert plt.get_fignums() == []


def test_a_figure_that_was_shown_in_one_cell_can_be_shown_in_the_next(shown: list[Any]):
    figure = line()
    formats_of_figure(figure)
    figures.install(shown.append)

    assert not is_shown(figure)
    figure.show()
    assert shown == [figure]


def test_a_closed_figure_is_not_taken_and_can_still_be_shown(shown: list[Any]):
    figure = line()
    plt.close(figure)

    assert figures.take_open() == []
    assert sorted(formats_of_figure(figure)) == [CHART, "image/png", "text/plain"]


def test_figures_that_were_shown_are_not_kept(shown: list[Any]):
    figure = line()
    formats_of_figure(figure)
    gone = weakref.ref(figure)

    figures.take_open()
    del figure
    gc.collect()

    assert gone() is None


def test_without_a_cell_show_is_that_of_matplotlib(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DISPLAY", ":0")  # without one matplotlib is silent
    figures.install(lambda _: None)
    figures._cell.show = None

    with pytest.warns(UserWarning, match="non-interactive"):
        line().show()
    plt.close("all")


@pytest.mark.parametrize("scale", [None, 2.0])
def test_a_figure_is_known_again_however_it_was_shown(shown: list[Any], scale: float | None):
    first, second = line(), line()
    for figure in (first, second):
        assert ("image/png" in formats_of_figure(figure, scale)) == (scale is not None)
    second.axes[0].set_title("new")

    assert figures.take_open() == [second]


# -- pictures ----------------------------------------------------------------------------------------


def test_the_picture_is_that_of_a_notebook(shown: list[Any]):
    pylabtools = pytest.importorskip("IPython.core.pylabtools")
    figure = line()
    figure.set_facecolor("#eeeeee")
    figure.axes[0].set_ylabel("a label that\nis not on the page", labelpad=80)
    figure.set_dpi(70)

    forms = formats_of_figure(figure)

    assert forms["image/png"] == pylabtools.print_figure(figure, base64=True)
    assert forms["text/plain"] == "<Figure size 448x336 with 1 Axes>"
    assert json.loads(forms[CHART])["type"] == "line"


def test_an_empty_figure_is_a_text(shown: list[Any]):
    assert formats_of_figure(plt.figure()) == {"text/plain": "<Figure size 640x480 with 0 Axes>"}


def test_a_figure_with_a_text_alone_is_a_picture(shown: list[Any]):
    figure = plt.figure()
    figure.text(0.5, 0.5, "hello")

    assert sorted(formats_of_figure(figure)) == ["image/png", "text/plain"]


def test_a_huge_page_is_drawn_with_fewer_dots(shown: list[Any]):
    figure = line()
    figure.set_size_inches(400, 300)

    width, height = size(figure)

    assert 0.5 * MOST_PIXELS < width * height < 1.2 * MOST_PIXELS
    assert figure.dpi == 100


def test_a_text_far_out_does_not_make_the_page_huge(shown: list[Any]):
    figure = line()
    figure.text(100, 0.5, "far")

    assert size(figure) == (640, 480)


@pytest.mark.filterwarnings("ignore:posx and posy should be finite values")
def test_a_text_nowhere_does_no_harm(shown: list[Any]):
    figure = line()
    figure.axes[0].text(float("nan"), 1, "nowhere")

    assert "image/png" in formats_of_figure(figure)


def test_a_figure_that_cannot_be_drawn_says_why(shown: list[Any]):
    figure, axes = plt.subplots()
    axes.set_title(r"$\frac{1$")

    text = formats_of_figure(figure)["text/plain"]

    assert text.startswith(
        "<Figure size 640x480 with 1 Axes>\nThis figure could not be drawn: ValueError: "
    )
    assert figures.take_open() == [figure]


def test_an_artist_of_the_code_may_raise_anything_but_an_interrupt(shown: list[Any]):
    class Artist(matplotlib.lines.Line2D):  # type: ignore[misc]
        error: BaseException = GeneratorExit("odd")

        def draw(self, renderer: Any) -> None:
            raise self.error

    figure, axes = plt.subplots()
    axes.add_line(Artist([0, 1], [0, 1]))

    assert formats_of_figure(figure)["text/plain"].endswith("not be drawn: GeneratorExit: odd")
    Artist.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        formats_of_figure(figure)


def test_a_registry_that_the_code_broke_is_no_error_of_ours(shown: list[Any]):
    helpers = sys.modules["matplotlib._pylab_helpers"]
    kept = helpers.Gcf
    helpers.Gcf = None  # type: ignore[attr-defined]
    try:
        assert figures.take_open() == []
    finally:
        helpers.Gcf = kept  # type: ignore[attr-defined]


# -- what draws by way of matplotlib -----------------------------------------------------------------


def test_plots_of_pandas_are_figures(shown: list[Any]):
    pandas = pytest.importorskip("pandas")
    axes = pandas.DataFrame({"a": [1, 2]}).plot()

    assert figures.take_open() == [axes.figure]


@pytest.mark.filterwarnings("ignore:Animation was deleted")
def test_an_animation_is_its_first_frame(shown: list[Any]):
    animation = pytest.importorskip("matplotlib.animation")
    figure, axes = plt.subplots()
    (drawn,) = axes.plot([0, 1])
    kept = animation.FuncAnimation(figure, lambda at: drawn.set_ydata([at, at]), frames=3)

    assert figures.take_open() == [figure]
    assert "image/png" in formats_of_figure(figure)
    del kept


def test_only_figures_are_figures(shown: list[Any]):
    figure, axes = plt.subplots()

    assert is_figure(figure)
    assert [is_figure(value) for value in (axes, axes.plot([1]), None, type(figure))] == [False] * 4


# -- in a process of its own -------------------------------------------------------------------------

_CELLS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from protocell_guest.guest import figures
assert "matplotlib" not in sys.modules
shell = None
if sys.argv[2] == "ipython":
    from IPython.core.interactiveshell import InteractiveShell
    class Shell(InteractiveShell):
        def enable_gui(self, gui=None):
            pass
    shell = Shell.instance()
found, namespace = [], {}
def show(value):
    found.append(sorted(figures.formats_of_figure(value)))
for cell in json.loads(sys.argv[3]):
    figures.install(show)
    if shell is None:
        exec(cell, namespace)
    else:
        assert shell.run_cell(cell).success
    for figure in figures.take_open():
        show(figure)
    found.append("end")
print(json.dumps(found))
"""

_FORMS = [CHART, "image/png", "text/plain"]


def outcome(*cells: str, shell: str = "plain") -> Any:
    done = subprocess.run(
        [sys.executable, "-I", "-c", _CELLS, SOURCE, shell, json.dumps(cells)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"MPLBACKEND": "agg", "HOME": "/tmp"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout.splitlines()[-1])


def test_a_cell_may_import_and_show_in_one_breath():
    assert outcome(
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()",
        "import matplotlib\nmatplotlib.use('svg')\nplt.plot([1, 2])\nplt.show()",
        "plt.plot([1, 2])",
    ) == [_FORMS, "end", _FORMS, "end", _FORMS, "end"]


def test_inline_shows_each_figure_once():
    pytest.importorskip("matplotlib_inline")

    assert outcome(
        "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()",
        "plt.plot([1, 2]);",
        "fig, ax = plt.subplots()\nax.plot([1, 2])\nfig.show()",
        "1 + 1",
        shell="ipython",
    ) == [_FORMS, "end", _FORMS, "end", _FORMS, "end", "end"]


def test_figures_stay_open_and_come_again_only_changed_if_the_code_asks_for_it():
    pytest.importorskip("matplotlib_inline")

    assert outcome(
        "%matplotlib inline\n%config InlineBackend.close_figures = False\n"
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])",
        "1 + 1",
        "plt.title('new')",
        shell="ipython",
    ) == [_FORMS, "end", "end", _FORMS, "end"]
