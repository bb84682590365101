"""What holds for the plain interpreter and for IPython's alike is tested with both."""

from functools import partial

import pytest

from tests.guest import children
from tests.guest.children import RunCells


@pytest.fixture(params=["plain", "ipython"])
def run_cells(request: pytest.FixtureRequest) -> RunCells:
    """Run cells in a Python of their own."""
    if request.param == "ipython":
        pytest.importorskip("IPython")
    return partial(children.run_cells, kind=request.param)
