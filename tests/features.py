"""Whether this machine's kernel can do what a test needs: the test skips at a desk and fails where it must work."""

import os
from collections.abc import Callable

import pytest


def remedy_for(feature: str) -> str | None:
    """Return what to do about a feature that is missing here, or None where it works."""
    raise NotImplementedError(feature)


def require(feature: str, remedy_for: Callable[[str], str | None] = remedy_for) -> None:
    """Skip the running test unless this kernel has the feature; fail it under PROTOCELL_MUST_WORK=1."""
    remedy = remedy_for(feature)
    if remedy is None:
        return
    sentence = f"this machine lacks {feature}: {remedy}"
    if os.environ.get("PROTOCELL_MUST_WORK") == "1":
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)
