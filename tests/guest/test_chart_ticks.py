"""What stands at the axes of a figure comes out as plain text, and a unit only if it is one."""

import pytest

from tests.guest.plots import chart, plt, shown

__all__ = ["shown"]
pytestmark = pytest.mark.usefixtures("shown")


def test_ticks_of_a_box_plot_without_names_are_numbers():
    figure, axes = plt.subplots()
    axes.boxplot([[1, 2, 3], [2, 3, 9]])

    assert chart(figure)["x_tick_labels"] == ["1", "2"]


def test_ticks_of_a_logarithmic_axis_have_no_markup():
    figure, axes = plt.subplots()
    axes.plot([1, 10, 100], [0.001, 0.5, 0.999])
    axes.set(xscale="log", yscale="logit")
    read = chart(figure)

    assert read["x_tick_labels"] == ["10^0", "10^1", "10^2"]
    assert "1/2" in read["y_tick_labels"]
    assert "1-10^-2" in read["y_tick_labels"]


@pytest.mark.parametrize(
    "label, unit",
    [
        ("time (s)", "s"),
        ("speed [m/s]", "m/s"),
        ("Speed (m s$^{-1}$)", "m s$^{-1}$"),
        ("density (kg m⁻³)", "kg m⁻³"),
        ("temperature (°C)", "°C"),
        ("share (%)", "%"),
        ("GDP (2024) (million USD)", "million USD"),
        ("income ($)", "$"),
        ("revenue (in thousands of euros)", "in thousands of euros"),
        ("flow (10^3 m3/h)", "10^3 m3/h"),
        ("fuel (miles per gallon)", "miles per gallon"),
        ("power [kWh]", "kWh"),
        ("emission [tCO2eq]", None),
        ("signal [counts]", "counts"),
        ("Sales (2024)", None),
        ("Mean (all regions)", None),
        ("Sales (Q1 2024)", None),
        ("size (n=12)", None),
        ("range [0, 1]", None),
        ("count", None),
        ("sum (" + "m " * 1000 + ")", None),
    ],
)
def test_a_unit_is_what_is_known_as_one(label: str, unit: str | None):
    figure, axes = plt.subplots()
    axes.plot([1, 2])
    axes.set_xlabel(label)

    assert chart(figure)["x_unit"] == unit
