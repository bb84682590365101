"""Chart data say what a figure shows: its kind, titles, axes, units, scales and series, bounded and as JSON."""

import datetime as dt
import math
from typing import Any

import pytest

from protocell_guest.guest.charts import MOST_POINTS, MOST_POINTS_OF_SERIES, chart_of
from tests.guest.plots import chart, plt, shown

numpy = pytest.importorskip("numpy")

__all__ = ["shown"]
pytestmark = pytest.mark.usefixtures("shown")


def points(read: dict[str, Any], element: int = 0) -> list[list[Any]]:
    found: list[list[Any]] = read["elements"][element]["points"]
    return found


def bars(read: dict[str, Any]) -> list[tuple[str, str, float]]:
    return [(one["group"], one["label"], one["value"]) for one in read["elements"]]


# -- lines and points --------------------------------------------------------------------------------


def test_a_line_has_its_points_titles_units_and_ticks():
    figure, axes = plt.subplots()
    axes.plot([1, 2, 3], [4, 5, 6], label="speed")
    axes.set(title="Run", xlabel="time (s)", ylabel="speed [m/s]", xticks=[1, 2, 3], yticks=[4, 6])

    assert chart(figure) == {
        "type": "line",
        "title": "Run",
        "elements": [{"label": "speed", "points": [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]}],
        "x_label": "time (s)",
        "x_unit": "s",
        "x_ticks": [1.0, 2.0, 3.0],
        "x_tick_labels": ["1", "2", "3"],
        "x_scale": "linear",
        "y_label": "speed [m/s]",
        "y_unit": "m/s",
        "y_ticks": [4.0, 6.0],
        "y_tick_labels": ["4", "6"],
        "y_scale": "linear",
    }


def test_a_level_line_of_two_points_is_data_and_a_line_across_the_axes_is_not():
    figure, axes = plt.subplots()
    axes.plot([0, 1], [5, 5], label="flat")
    axes.axhline(4, label="limit")
    axes.axvline(0.5)
    read = chart(figure)

    assert read["elements"] == [{"label": "flat", "points": [[0.0, 5.0], [1.0, 5.0]]}]
    assert read["reference_lines"] == [
        {"label": "limit", "axis": "y", "value": 4.0},
        {"label": None, "axis": "x", "value": 0.5},
    ]


def test_clouds_and_markers_without_a_line_are_scatter():
    figure, axes = plt.subplots()
    axes.scatter([1, 2], [3, 4], label="cloud")
    axes.plot([1, 2], [5, 6], "o", label="dots")
    read = chart(figure)

    assert read["type"] == "scatter"
    assert {one["label"]: one["points"] for one in read["elements"]} == {
        "cloud": [[1.0, 3.0], [2.0, 4.0]],
        "dots": [[1.0, 5.0], [2.0, 6.0]],
    }


def test_what_is_not_a_number_is_null():
    figure, axes = plt.subplots()
    axes.plot([1, 2, 3, 4], [1, math.nan, math.inf, 2])
    axes.plot([1, 2], numpy.ma.array([1, 2], mask=[False, True]))
    axes.scatter([1, 2], numpy.ma.array([7, 8], mask=[False, True]), label="s")
    read = chart(figure)

    assert read["type"] == "superchart"
    assert [one["points"] for one in read["elements"][0]["elements"]] == [
        [[1.0, 1.0], [2.0, None], [3.0, None], [4.0, 2.0]],
        [[1.0, 1.0], [2.0, None]],
    ]
    assert points(read["elements"][1])[0] == [1.0, 7.0]
    assert points(read["elements"][1])[1][1] is None


def test_a_million_points_are_some_with_a_true_count():
    figure, axes = plt.subplots()
    axes.plot(numpy.arange(1_000_000))
    element = chart(figure)["elements"][0]

    assert element["count"] == 1_000_000
    assert len(element["points"]) == MOST_POINTS_OF_SERIES
    assert element["points"][0] == [0.0, 0.0]
    assert element["points"][-1] == [999_999.0, 999_999.0]


def test_many_long_lines_share_the_points_of_a_figure():
    figure, grid = plt.subplots(3, 3)
    for axes in grid.flat:
        for _ in range(20):
            axes.plot(range(2000))
    listed = [one for part in chart(figure)["elements"] for one in part["elements"]]

    assert len(listed) == 180
    assert sum(len(one["points"]) for one in listed) <= MOST_POINTS + len(listed)
    assert {one["count"] for one in listed} == {2000}


def test_more_lines_than_anyone_can_see_are_counted():
    figure, axes = plt.subplots()
    axes.plot(numpy.zeros((2, 1500)))
    read = chart(figure)

    assert len(read["elements"]) == 1000
    assert read["elements_left_out"] == 500


def test_scales_and_categories_are_named():
    figure, axes = plt.subplots()
    axes.plot(["a", "b", "c"], [1, 10, 100])
    axes.set_yscale("log")
    read = chart(figure)

    assert (read["x_scale"], read["y_scale"]) == ("categorical", "log")
    assert read["x_ticks"] == read["x_tick_labels"] == ["a", "b", "c"]
    assert points(read) == [["a", 1.0], ["b", 10.0], ["c", 100.0]]


def test_days_and_moments_are_iso_8601():
    figure, axes = plt.subplots()
    axes.plot([dt.date(2024, 1, 1), dt.date(2024, 1, 2)], [1, 2])
    axes.set_xticks([dt.date(2024, 1, 1)])
    read = chart(figure)

    assert read["x_scale"] == "datetime"
    assert points(read) == [["2024-01-01T00:00:00", 1.0], ["2024-01-02T00:00:00", 2.0]]
    assert read["x_ticks"] == ["2024-01-01T00:00:00"]


def test_moments_have_the_offset_of_their_time_zone():
    figure, axes = plt.subplots()
    east = dt.timezone(dt.timedelta(hours=9))
    axes.plot([dt.datetime(2024, 1, 1, tzinfo=east), dt.datetime(2024, 1, 2, tzinfo=east)], [1, 2])

    assert points(chart(figure)) == [
        ["2024-01-01T00:00:00+09:00", 1.0],
        ["2024-01-02T00:00:00+09:00", 2.0],
    ]


def test_points_of_a_cloud_over_time_have_their_dates():
    pandas = pytest.importorskip("pandas")
    figure, axes = plt.subplots()
    axes.scatter(pandas.date_range("2024-01-01", periods=2), [1, 2])

    assert points(chart(figure)) == [["2024-01-01T00:00:00", 1.0], ["2024-01-02T00:00:00", 2.0]]


@pytest.mark.parametrize(
    "frequency, first", [("D", "2024-01-01"), ("MS", "2024-01"), ("YS", "2024")]
)
def test_plots_of_pandas_over_a_regular_index_have_its_periods(frequency: str, first: str):
    pandas = pytest.importorskip("pandas")
    index = pandas.date_range("2024-01-01", periods=3, freq=frequency)
    read = chart(pandas.DataFrame({"v": [1.0, 2, 3]}, index=index).plot().figure)

    assert (read["type"], read["x_scale"]) == ("line", "datetime")
    assert read["elements"][0]["label"] == "v"
    assert points(read)[0] == [first, 1.0]


def test_names_that_the_legend_alone_has_are_taken():
    figure, axes = plt.subplots()
    axes.plot([1, 2], [3, 4])
    axes.scatter([1, 2], [3, 4])
    axes.legend(["model", "measured"])
    read = chart(figure)

    assert [(one["type"], one["elements"][0]["label"]) for one in read["elements"]] == [
        ("line", "model"),
        ("scatter", "measured"),
    ]


def test_lines_without_a_name_are_numbered():
    figure, axes = plt.subplots()
    axes.plot([1, 2], [[3, 4], [5, 6]])

    assert [one["label"] for one in chart(figure)["elements"]] == ["Line 0", "Line 1"]


def test_error_bars_and_stems_are_their_points():
    figure, (left, right) = plt.subplots(1, 2)
    left.errorbar([1, 2], [3, 4], yerr=0.1, capsize=3, label="measured")
    right.stem([1, 2], [3, 4], label="impulse")
    read = chart(figure)

    for part, label in zip(read["elements"], ["measured", "impulse"], strict=True):
        assert part["elements"] == [{"label": label, "points": [[1.0, 3.0], [2.0, 4.0]]}]


# -- bars, boxes, pies -------------------------------------------------------------------------------


def test_bars_have_their_categories_even_if_all_are_equal():
    figure, axes = plt.subplots()
    axes.bar(["a", "b"], [2, 2], label="n")
    axes.set(xlabel="what", ylabel="how many")
    read = chart(figure)

    assert (read["type"], read["orientation"]) == ("bar", "vertical")
    assert (read["x_label"], read["y_label"]) == ("what", "how many")
    assert bars(read) == [("n", "a", 2.0), ("n", "b", 2.0)]


def test_bars_on_their_side_have_their_categories_as_x():
    figure, axes = plt.subplots()
    axes.barh(["a", "b"], [1, 2])
    axes.set(xlabel="how many", ylabel="what")
    read = chart(figure)

    assert read["orientation"] == "horizontal"
    assert (read["x_label"], read["y_label"]) == ("what", "how many")
    assert bars(read) == [("Group 0", "a", 1.0), ("Group 0", "b", 2.0)]


def test_bars_beside_each_other_are_groups_of_the_same_categories():
    figure, axes = plt.subplots()
    places = numpy.arange(2)
    axes.bar(places - 0.2, [1, 2], 0.4, label="north")
    axes.bar(places + 0.2, [3, 4], 0.4, label="south")
    axes.set_xticks(places, ["p", "q"])

    assert bars(chart(figure)) == [
        ("north", "p", 1.0),
        ("north", "q", 2.0),
        ("south", "p", 3.0),
        ("south", "q", 4.0),
    ]


def test_bars_on_top_of_each_other_say_where_they_begin():
    figure, axes = plt.subplots()
    axes.bar(["a"], [1], label="low")
    axes.bar(["a"], [2], bottom=[1], label="high")

    assert chart(figure)["elements"] == [
        {"label": "a", "group": "low", "value": 1.0},
        {"label": "a", "group": "high", "value": 2.0, "base": 1.0},
    ]


def test_bars_at_numbers_are_labelled_by_them_and_not_by_ticks():
    figure, axes = plt.subplots()
    axes.bar([2020, 2021], [1, 2])

    assert chart(figure)["elements"] == [
        {"label": "2020", "group": "Group 0", "value": 1.0, "position": 2020.0, "width": 0.8},
        {"label": "2021", "group": "Group 0", "value": 2.0, "position": 2021.0, "width": 0.8},
    ]


def test_bins_of_a_histogram_say_from_where_to_where():
    figure, axes = plt.subplots()
    axes.hist([1, 1, 2, 3, 4], bins=[1, 2, 3, 4])

    assert bars(chart(figure)) == [
        ("Group 0", "1 to 2", 2.0),
        ("Group 0", "2 to 3", 1.0),
        ("Group 0", "3 to 4", 2.0),
    ]


def test_bins_of_a_histogram_of_dates_say_so_in_dates():
    figure, axes = plt.subplots()
    days = [dt.datetime(2024, 1, day) for day in (1, 2, 3)]  # noqa: DTZ001  (as people plot them)
    axes.hist(days, bins=2)

    assert bars(chart(figure)) == [
        ("Group 0", "2024-01-01T00:00:00 to 2024-01-02T00:00:00", 1.0),
        ("Group 0", "2024-01-02T00:00:00 to 2024-01-03T00:00:00", 2.0),
    ]


def test_bars_of_pandas_have_columns_as_groups():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"A": [1, 2], "B": [3, 4]}, index=["x", "y"])

    assert bars(chart(frame.plot.bar().figure)) == [
        ("A", "x", 1.0),
        ("A", "y", 2.0),
        ("B", "x", 3.0),
        ("B", "y", 4.0),
    ]


@pytest.mark.parametrize("filled", [0, 1])
@pytest.mark.parametrize("orientation", ["vertical", "horizontal"])
def test_boxes_have_their_statistics(filled: int, orientation: str):
    figure, axes = plt.subplots()
    axes.boxplot(
        [[1, 2, 3, 4, 20], [2, 3, 4]],
        tick_labels=["a", "b"],
        patch_artist=bool(filled),
        orientation=orientation,
        notch=True,
        showmeans=True,
    )
    read = chart(figure)

    assert (read["type"], read["orientation"]) == ("box_and_whisker", orientation)
    assert read["x_tick_labels"] == ["a", "b"]
    assert read["elements"] == [
        {
            "label": "a",
            "min": 1.0,
            "first_quartile": 2.0,
            "median": 3.0,
            "third_quartile": 4.0,
            "max": 4.0,
            "outliers": [20.0],
        },
        {
            "label": "b",
            "min": 2.0,
            "first_quartile": 2.5,
            "median": 3.0,
            "third_quartile": 3.5,
            "max": 4.0,
            "outliers": [],
        },
    ]


def test_boxes_of_pandas_have_their_columns_names():
    pandas = pytest.importorskip("pandas")
    read = chart(pandas.DataFrame({"A": [1, 2, 3], "B": [3, 4, 9]}).plot.box().figure)

    assert read["type"] == "box_and_whisker"
    assert [(one["label"], one["median"]) for one in read["elements"]] == [("A", 2.0), ("B", 4.0)]


def test_axes_that_were_cleared_have_no_boxes_any_more():
    figure, axes = plt.subplots()
    axes.boxplot([1, 2, 3])
    axes.cla()
    axes.plot([1, 2])

    assert chart(figure)["type"] == "line"


def test_slices_of_a_pie_have_their_angles_shares_and_values():
    figure, axes = plt.subplots()
    axes.pie([1, 3], labels=["x", "y"], autopct="%d%%", explode=[0, 0.1])
    axes.set_title("share")

    assert chart(figure) == {
        "type": "pie",
        "title": "share",
        "elements": [
            {"label": "x", "angle": 90.0, "radius": 1.0, "share": 0.25, "value": 1.0},
            {"label": "y", "angle": 270.0, "radius": 1.0, "share": 0.75, "value": 3.0},
        ],
    }


def test_slices_have_their_values_however_these_were_given():
    figure, (left, right) = plt.subplots(1, 2)
    left.pie(x=[0.25, 0.25], normalize=False)
    right.pie("votes", data={"votes": [10, 30]})
    read = chart(figure)

    assert [one["share"] for one in read["elements"][0]["elements"]] == [0.25, 0.25]
    assert [one["value"] for one in read["elements"][0]["elements"]] == [0.25, 0.25]
    assert [one["value"] for one in read["elements"][1]["elements"]] == [10.0, 30.0]


@pytest.mark.parametrize("orientation", ["vertical", "horizontal"])
def test_violins_have_their_statistics(orientation: str):
    figure, axes = plt.subplots()
    axes.violinplot([[1, 2, 3], [2, 3, 10]], showmedians=True, orientation=orientation)
    names = {"yticks" if orientation == "horizontal" else "xticks": [1, 2]}
    axes.set(**names)
    read = chart(figure)

    assert (read["type"], read["orientation"]) == ("violin", orientation)
    assert read["x_ticks"] == [1.0, 2.0]
    assert read["elements"] == [
        {"label": "1", "min": 1.0, "median": 2.0, "max": 3.0, "mean": 2.0},
        {"label": "2", "min": 2.0, "median": 3.0, "max": 10.0, "mean": 5.0},
    ]


@pytest.mark.parametrize("kind, errors", [("bar", "yerr"), ("barh", "xerr")])
def test_bars_have_their_errors(kind: str, errors: str):
    figure, axes = plt.subplots()
    getattr(axes, kind)(["a", "b"], [1, 2], **{errors: 0.5}, capsize=3)

    assert [one["error"] for one in chart(figure)["elements"]] == [[0.5, 1.5], [1.5, 2.5]]


def test_lines_at_the_ends_of_all_bars_are_their_errors_and_others_are_lines():
    figure, (left, right) = plt.subplots(1, 2)
    for axes in (left, right):
        axes.bar(["a", "b"], [1, 2])
        axes.plot([0, 0], [0.5, 1.5])
    left.plot([1, 1], [1.5, 2.5])
    bars_alone, bars_and_line = (chart(figure)["elements"][0], chart(figure)["elements"][1:])

    assert [one["error"] for one in bars_alone["elements"]] == [[0.5, 1.5], [1.5, 2.5]]
    assert [one["type"] for one in bars_and_line] == ["bar", "line"]
    assert "error" not in bars_and_line[0]["elements"][0]
    assert points(bars_and_line[1]) == [["a", 0.5], ["a", 1.5]]


# -- figures of several parts ------------------------------------------------------------------------


def test_subplots_are_a_superchart_of_those_that_have_data():
    figure, (left, right, _) = plt.subplots(1, 3)
    left.plot([1, 2], [3, 4])
    right.bar(["x"], [1])
    figure.suptitle("both")
    read = chart(figure)

    assert (read["type"], read["title"]) == ("superchart", "both")
    assert [part["type"] for part in read["elements"]] == ["line", "bar"]


def test_axes_with_several_kinds_give_one_chart_for_each():
    figure, axes = plt.subplots()
    axes.bar(["a", "b"], [1, 2], label="sold")
    axes.plot(["a", "b"], [1, 2], label="trend")
    axes.set_title("sales")
    read = chart(figure)

    assert read["type"] == "superchart"
    assert [(part["type"], part["title"]) for part in read["elements"]] == [
        ("bar", "sales"),
        ("line", "sales"),
    ]


def test_a_second_scale_is_a_chart_of_its_own():
    figure, axes = plt.subplots()
    axes.plot([1, 2], [3, 4], label="left")
    second = axes.twinx()
    second.plot([1, 2], [30, 40], label="right")
    second.set_ylabel("share (%)")
    read = chart(figure)

    assert [part["elements"][0]["label"] for part in read["elements"]] == ["left", "right"]
    assert read["elements"][1]["y_unit"] == "%"


def test_a_single_chart_has_the_title_of_its_figure_if_it_has_none():
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    figure.suptitle("over all")

    assert chart(figure)["title"] == "over all"


def test_what_has_no_series_is_unknown_but_has_its_axes():
    figure, axes = plt.subplots()
    image = axes.imshow(numpy.eye(3))
    axes.set(title="matrix", xlabel="column")
    figure.colorbar(image)
    read = chart(figure)

    assert (read["type"], read["title"], read["x_label"]) == ("unknown", "matrix", "column")
    assert read["elements"] == []


def test_plots_in_three_dimensions_do_not_give_places_on_the_paper():
    figure = plt.figure()
    figure.add_subplot(projection="3d").plot([1, 2], [1, 2], [1, 2])
    read = chart(figure)

    assert (read["type"], read["projection"], read["elements"]) == ("unknown", "3d", [])


# -- hostile figures ---------------------------------------------------------------------------------


def test_labels_of_any_kind_are_bounded_text():
    class Odd(str):
        __slots__ = ()

        def startswith(self, *_: object) -> bool:
            raise RuntimeError("no")

        __len__ = startswith

    figure, axes = plt.subplots()
    axes.plot([1, 2], label=Odd("odd"))
    axes.plot([1, 2], label="_childish")
    axes.plot([1, 2], label="long " * 1000)
    axes.plot([1, 2], label="_child99999999999999999999")
    labels = [one["label"] for one in chart(figure)["elements"]]

    assert labels[:2] == ["odd", "_childish"]
    assert "characters left out" in labels[2]
    assert max(map(len, labels)) <= 300


def test_axes_that_fail_leave_the_others():
    figure, (left, right) = plt.subplots(1, 2)
    left.plot([1, 2], label="fine")
    right.plot([1, 2])
    right.get_legend = None
    read = chart(figure)

    assert read["elements"][0]["elements"][0]["label"] == "fine"
    assert read["elements"][1] == {"type": "unknown", "title": None, "elements": []}


def test_chart_data_stay_small_whatever_is_drawn():
    figure, grid = plt.subplots(4, 4)
    for axes in grid.flat:
        axes.bar([f"{number} {'n' * 500}" for number in range(40)], range(40), label="g" * 1000)

    assert len(chart_of(figure) or "") < 1_000_000
