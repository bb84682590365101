"""Counting tokens."""

import json
import sys
from types import ModuleType

import pytest

from protocell._catalogue import tokens
from protocell._catalogue.tokens import Count, count, estimate
from tests.catalogue.tools import HERE

# What o200k_base counts in the definitions of each server's tools, by bpe-openai 0.1.4.
COUNTED = {"github": 4473, "excel": 21013, "kubernetes": 6332, "sqlite": 346, "word": 7412}


@pytest.fixture(autouse=True)
def _forget():
    tokens._tokenizer.cache_clear()
    yield
    tokens._tokenizer.cache_clear()


@pytest.mark.parametrize("server", COUNTED)
def test_the_estimate_is_within_a_tenth(server: str):
    servers = json.loads((HERE / "real_tools.json").read_text())["servers"]
    (found,) = [each for each in servers if each["name"] == server]

    assert 0.9 < estimate(json.dumps(found["tools"])) / COUNTED[server] < 1.1


def test_without_a_tokenizer_a_count_says_that_it_is_an_estimate(monkeypatch):
    monkeypatch.setitem(sys.modules, "bpe_openai", None)
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR", raising=False)
    monkeypatch.delenv("DATA_GYM_CACHE_DIR", raising=False)

    found = count("Read a file")

    assert found == Count(3, "estimate")
    assert (found.is_exact, str(found)) == (False, "about 3 tokens")


def test_with_one_it_is_asked_in_pieces_that_it_takes(monkeypatch):
    asked = []

    class Encoding:
        def encode_ordinary(self, text: str) -> list[int]:
            asked.append(len(text))
            return [0] * len(text)

    module = ModuleType("bpe_openai")
    module.get_encoding = lambda name: Encoding()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "bpe_openai", module)

    found = count("x" * 250_000)

    assert found == Count(250_000, "o200k_base")
    assert str(found) == "250,000 tokens"
    assert asked == [0, 100_000, 100_000, 50_000]


def test_any_text_can_be_estimated():
    assert [estimate(text) for text in ("", " ", "\n", "\ud800", "日本語", "1234567")] == [
        0,
        0,
        1,
        1,
        3,
        3,
    ]
