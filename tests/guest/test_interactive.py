"""Charts for a browser come out as their specification, with a summary to read and no browser at all."""

import json
from typing import Any

import pytest

from protocell_guest.guest import interactive
from protocell_guest.guest.formats import formats_of, has_own_forms
from protocell_guest.guest.interactive import HTML_BYTES, PLOTLY

pandas = pytest.importorskip("pandas")


def refuse(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def read(text: str) -> Any:
    return json.loads(text, parse_constant=refuse)


# -- plotly ------------------------------------------------------------------------------------------


def test_a_figure_of_plotly_is_its_specification_and_a_summary():
    plotly = pytest.importorskip("plotly.graph_objects")
    figure = plotly.Figure(layout={"title": "Sales"})
    figure.add_bar(name="north", x=["a", "b"], y=[1, float("nan")])
    figure.add_scatter(y=list(range(3)))

    forms = formats_of(figure)

    assert sorted(forms) == [PLOTLY, "text/html", "text/plain"]
    assert forms["text/plain"] == (
        "<plotly figure 'Sales': bar 'north' (2 points), scatter (3 points)>"
    )
    specification = read(forms[PLOTLY])
    assert [trace["type"] for trace in specification["data"]] == ["bar", "scatter"]
    assert specification["layout"]["title"]["text"] == "Sales"
    assert len(forms["text/html"]) < HTML_BYTES
    assert has_own_forms(figure)


def test_a_large_figure_of_plotly_has_no_html():
    express = pytest.importorskip("plotly.express")
    figure = express.line(pandas.DataFrame({"x": range(20_000), "y": range(20_000)}), x="x", y="y")

    forms = formats_of(figure)

    assert sorted(forms) == [PLOTLY, "text/plain"]
    assert "20,000 points" in forms["text/plain"]


def test_show_of_plotly_displays_and_opens_nothing():
    plotly = pytest.importorskip("plotly.graph_objects")
    output = pytest.importorskip("plotly.io")
    shown: list[object] = []
    interactive.install(shown.append)
    figure = plotly.Figure(data=[{"y": [1, 2]}])

    figure.show()
    figure.show(renderer="browser")
    output.show({"data": [{"type": "bar", "y": [1]}]})

    interactive._show.clear()
    assert [formats_of(value)["text/plain"] for value in shown] == [
        "<plotly figure: scatter (2 points)>",
        "<plotly figure: scatter (2 points)>",
        "<plotly figure: bar (1 points)>",
    ]
    assert sorted(formats_of(shown[0])) == [PLOTLY, "text/html", "text/plain"]
    assert not hasattr(shown[0], "_ipython_display_")


def test_a_figure_of_plotly_that_fails_says_why():
    plotly = pytest.importorskip("plotly.graph_objects")

    class Broken(plotly.Figure):  # type: ignore[misc, name-defined]
        def to_json(self, *_: object, **__: object) -> str:
            raise RuntimeError("no data")

    assert formats_of(Broken()) == {
        "text/plain": "<plotly chart that could not be made: RuntimeError: no data>"
    }


# -- altair ------------------------------------------------------------------------------------------


def chart(rows: int) -> Any:
    altair = pytest.importorskip("altair")
    frame = pandas.DataFrame({"a": range(rows), "b": range(rows)})
    return altair.Chart(frame).mark_bar().encode(x="a", y="b")


def test_a_chart_of_altair_is_its_specification_and_a_summary():
    forms = formats_of(chart(3))
    (kind,) = [mime for mime in forms if mime.endswith("json")]

    assert kind.startswith("application/vnd.vegalite.v")
    assert sorted(forms) == [kind, "text/html", "text/plain"]
    assert forms["text/plain"] == "<altair chart: bar, x=a, y=b, 3 rows>"
    assert read(forms[kind])["mark"] == {"type": "bar"}
    assert has_own_forms(chart(1))


def test_layers_of_altair_are_a_chart():
    single = chart(2)

    assert formats_of(single + single.mark_line())["text/plain"] == "<altair chart: layer, 2 rows>"


def test_too_many_rows_for_altair_are_a_text_that_says_so(capsys: pytest.CaptureFixture[str]):
    (text,) = formats_of(chart(5001)).values()

    assert text.startswith("<altair chart that could not be made: MaxRowsError: ")
    assert capsys.readouterr().err == ""
