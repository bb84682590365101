"""A missing kernel feature skips a test at a desk and fails it where everything must work."""

import pytest

from tests.features import KNOWN, remedy_for, require


def has_nothing(feature: str) -> str:
    return f"boot a kernel with {feature}"


def test_a_feature_that_is_there_lets_the_test_run():
    require("landlock", remedy_for=lambda _: None)


@pytest.mark.parametrize("setting", ["", "0"])
def test_a_missing_feature_skips_at_a_desk(monkeypatch: pytest.MonkeyPatch, setting: str):
    monkeypatch.setenv("PROTOCELL_MUST_WORK", setting)

    with pytest.raises(pytest.skip.Exception) as caught:
        require("landlock", has_nothing)

    assert str(caught.value) == "this machine lacks landlock: boot a kernel with landlock"


def test_a_missing_feature_fails_where_everything_must_work(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PROTOCELL_MUST_WORK", "1")

    with pytest.raises(pytest.fail.Exception) as caught:
        require("landlock", has_nothing)

    assert str(caught.value) == "this machine lacks landlock: boot a kernel with landlock"


def test_every_known_feature_can_be_asked_for():
    # Which of them this machine has is its own affair; "" would be a skip that does not say what to do.
    assert {type(remedy_for(feature)) for feature in KNOWN} <= {str, type(None)}
    assert "" not in {remedy_for(feature) for feature in KNOWN}


def test_a_feature_that_does_not_exist_is_an_error_and_no_skip():
    with pytest.raises(ValueError, match="'warp-drive' is no feature; there are cgroup, "):
        remedy_for("warp-drive")
