"""matplotlib as a cell of a sandbox finds it, and what it shows there, for tests."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from protocell_guest.guest import figures
from protocell_guest.guest.charts import CHART

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("agg")
plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture
def shown() -> Iterator[list[Any]]:
    """What the code of a test shows, as of a cell that begins and ends with it."""
    values: list[Any] = []
    figures.install(values.append)
    yield values
    plt.close("all")
    figures._cell.show = None


def chart(figure: Any) -> dict[str, Any]:
    """Chart data of a figure, which have to be strict JSON."""

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    read: dict[str, Any] = json.loads(
        figures.formats_of_figure(figure)[CHART], parse_constant=refuse
    )
    return read
