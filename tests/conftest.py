"""What holds for every test: kernel features are there or said to be missing, and nothing is left behind."""

import gc
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.claims import CLAIMS
from tests.features import require
from tests.leftovers import nothing_left_behind

_NEEDS = {claim.id: claim.needs for claim in CLAIMS}
# These start sandboxes or parts of one. Pure tests are spared the two looks at /proc.
_FOLDERS_OF_LEFTOVERS = {"kernel", "escape", "integration", "faults"}


def pytest_configure() -> None:
    """Signals as at a desk: a job in the background or under nohup begins with some ignored, and so do its children."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            plain = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, plain)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let tests/test_claims.py ask for the marks of the whole tree."""
    parser.addoption("--write-marks", help="write each test with its claim and twin ids, as JSON")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write the marks that were asked for; keep the tests themselves out of every later look for garbage."""
    gc.collect()
    gc.freeze()  # half a million objects that live to the end: a third of a second each time
    target = session.config.getoption("--write-marks")
    if target:
        rows = [(i.nodeid, _ids(i, "claim"), _ids(i, "twin")) for i in session.items]
        Path(target).write_text(json.dumps(rows))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, or fail under PROTOCELL_MUST_WORK=1, a test whose kernel features are not all there."""
    needed = [*_ids(item, "kernel")]
    for claim in [*_ids(item, "claim"), *_ids(item, "twin")]:
        needed.extend(_NEEDS.get(claim, ()))
    for feature in dict.fromkeys(needed):
        require(feature)


@pytest.fixture(autouse=True)
def _nothing_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a descriptor, process, mount, cgroup or temporary file behind."""
    parts = request.path.relative_to(Path(__file__).parent).parts
    if parts[0] not in _FOLDERS_OF_LEFTOVERS:
        yield
        return
    with nothing_left_behind():
        yield


def _ids(item: pytest.Item, mark: str) -> list[str]:
    return [text for found in item.iter_markers(mark) for text in found.args]
