"""Groups have the names that the legend gives to their colours, as in the plots of seaborn."""

from typing import Any

import pytest

from tests.guest.plots import chart, plt, shown

__all__ = ["shown"]
pytestmark = pytest.mark.usefixtures("shown")


# -- names by colour ---------------------------------------------------------------------------------


def test_a_cloud_whose_colours_the_legend_explains_is_one_series_for_each():
    figure, axes = plt.subplots()
    cloud = axes.scatter([1, 2, 3], [4, 5, 6], c=[0, 1, 0], cmap="coolwarm")
    axes.legend(*cloud.legend_elements())
    first, second = chart(figure)["elements"]

    assert first["points"] == [[1.0, 4.0], [3.0, 6.0]]
    assert second["points"] == [[2.0, 5.0]]
    assert [first["label"], second["label"]] == ["0", "1"]


def test_a_cloud_with_colours_that_the_legend_has_not_is_one_series():
    figure, axes = plt.subplots()
    axes.scatter([1, 2, 3], [4, 5, 6], c=["r", "g", "b"])
    axes.plot([1], [1], "r", label="red")
    axes.legend()

    assert [len(one["points"]) for one in chart(figure)["elements"][1]["elements"]] == [3]


def test_bars_and_boxes_have_the_names_that_the_legend_gives_to_their_colours():
    figure, (left, right) = plt.subplots(1, 2)
    patches = plt.Rectangle((0, 0), 1, 1, color="r"), plt.Rectangle((0, 0), 1, 1, color="b")
    left.bar(["a", "b"], [1, 2], color=["b", "r"])
    made = right.boxplot([[1, 2, 3], [2, 3, 4]], patch_artist=True)
    for box, colour in zip(made["boxes"], "rb", strict=True):
        box.set_facecolor(colour)
    for axes in (left, right):
        axes.legend(patches, ["north", "south"])
    bar, box = chart(figure)["elements"]

    assert [one["group"] for one in bar["elements"]] == ["south", "north"]
    assert [one["group"] for one in box["elements"]] == ["north", "south"]


# -- seaborn -----------------------------------------------------------------------------------------


# seaborn 0.13 calls bxp(vert=...), which matplotlib 3.11 deprecates.
ignore_vert = pytest.mark.filterwarnings("ignore:vert")


@pytest.fixture
def tips() -> Any:
    """Bills on two days, by smokers and others; what is drawn first is not what the legend names first."""
    pandas = pytest.importorskip("pandas")
    return pandas.DataFrame(
        {
            "day": ["Thu", "Fri"] * 6,
            "smoker": ["Yes", "Yes", "No", "No"] * 3,
            "bill": [1.0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
        }
    )


def seaborn_axes(kind: str, tips: Any, **options: Any) -> dict[str, Any]:
    seaborn = pytest.importorskip("seaborn")
    return chart(getattr(seaborn, kind)(tips, **options).figure)


@pytest.mark.parametrize("capsize", [0, 0.2])
def test_bars_of_seaborn_have_the_groups_of_their_hue_and_their_errors(tips: Any, capsize: float):
    read = seaborn_axes(
        "barplot", tips, x="day", y="bill", hue="smoker", errorbar=("pi", 100), capsize=capsize
    )

    assert read["elements"] == [
        {"label": "Thu", "group": "Yes", "value": 5.0, "error": [1.0, 9.0]},
        {"label": "Fri", "group": "Yes", "value": 6.0, "error": [2.0, 10.0]},
        {"label": "Thu", "group": "No", "value": 7.0, "error": [3.0, 11.0]},
        {"label": "Fri", "group": "No", "value": 8.0, "error": [4.0, 12.0]},
    ]


def test_bins_of_seaborn_have_the_group_that_is_drawn_in_their_colour(tips: Any):
    low = tips[(tips["smoker"] == "Yes") | (tips["bill"] > 6)]
    read = seaborn_axes("histplot", low, x="bill", hue="smoker", bins=[0, 6, 12])

    assert sorted((one["group"], one["label"], one["value"]) for one in read["elements"]) == [
        ("No", "0 to 6", 0.0),
        ("No", "6 to 12", 4.0),
        ("Yes", "0 to 6", 3.0),
        ("Yes", "6 to 12", 3.0),
    ]


@ignore_vert
def test_boxes_of_seaborn_have_the_groups_of_their_hue(tips: Any):
    read = seaborn_axes("boxplot", tips, x="day", y="bill", hue="smoker")

    assert [(one["label"], one["group"], one["median"]) for one in read["elements"]] == [
        ("Thu", "Yes", 5.0),
        ("Fri", "Yes", 6.0),
        ("Thu", "No", 7.0),
        ("Fri", "No", 8.0),
    ]


@pytest.mark.parametrize("kind", ["scatterplot", "relplot"])
def test_points_of_seaborn_are_one_series_for_each_hue(tips: Any, kind: str):
    read = seaborn_axes(kind, tips.assign(tip=tips["bill"] / 2), x="tip", y="bill", hue="smoker")

    assert [(one["label"], len(one["points"])) for one in read["elements"]] == [
        ("Yes", 6),
        ("No", 6),
    ]
    assert read["elements"][0]["points"][0] == [0.5, 1.0]


def test_violins_of_seaborn_have_the_statistics_that_are_drawn_within(tips: Any):
    read = seaborn_axes("violinplot", tips, x="day", y="bill", hue="smoker")

    assert read["type"] == "violin"
    assert [(one["label"], one["group"], one["median"]) for one in read["elements"]] == [
        ("Thu", "Yes", 5.0),
        ("Thu", "No", 7.0),
        ("Fri", "Yes", 6.0),
        ("Fri", "No", 8.0),
    ]
    assert read["elements"][0] == {
        "label": "Thu",
        "group": "Yes",
        "min": 1.0,
        "first_quartile": 3.0,
        "median": 5.0,
        "third_quartile": 7.0,
        "max": 9.0,
    }


def test_points_with_errors_of_seaborn_are_one_line_for_each_hue(tips: Any):
    read = seaborn_axes("pointplot", tips, x="day", y="bill", hue="smoker")

    assert read["elements"] == [
        {"label": "Yes", "points": [["Thu", 5.0], ["Fri", 6.0]]},
        {"label": "No", "points": [["Thu", 7.0], ["Fri", 8.0]]},
    ]
