"""Counts tokens: by a tokenizer where one is installed that needs no network, else by an estimate that says so."""

from __future__ import annotations

import importlib
import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

VOCABULARY = "o200k_base"
_CHARACTERS_AT_ONCE = 100_000  # bpe-openai 0.1.4 refuses more than 200,000 tokens in one call
_PIECE = re.compile(r"[A-Za-z]+|[0-9]+|[^\x00-\x7f]+|[ \t]{2,}|\n+|[^\sA-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class Count:
    """A number of tokens, and how far to trust it."""

    tokens: int
    tokenizer: str
    """``o200k_base``, or ``estimate``."""

    @property
    def is_exact(self) -> bool:
        """Whether a tokenizer counted."""
        return self.tokenizer != "estimate"

    def __str__(self) -> str:
        return f"{self.tokens:,} tokens" if self.is_exact else f"about {self.tokens:,} tokens"


def count(text: str) -> Count:
    """The tokens of a text; special tokens in it count as the text that they are."""
    found = _tokenizer()
    if found is None:
        return Count(estimate(text), "estimate")
    pieces = [
        text[start : start + _CHARACTERS_AT_ONCE]
        for start in range(0, len(text), _CHARACTERS_AT_ONCE)
    ]
    return Count(sum(found(piece) for piece in pieces), VOCABULARY)


def estimate(text: str) -> int:
    """Tokens without a tokenizer: on tool definitions and JSON within some 10 % of o200k_base."""
    return sum(_tokens_of(piece) for piece in _PIECE.findall(text))


def _tokens_of(piece: str) -> int:
    first = piece[0]
    if first.isascii() and first.isalpha():
        return 1 + (len(piece) - 1) // 9
    if first.isdigit():
        return (len(piece) + 2) // 3
    if first.isspace():
        return 1
    return 1 + (len(piece) - 1) // 4 if first.isascii() else 1 + len(piece) * 2 // 3


@cache
def _tokenizer() -> Callable[[str], int] | None:
    """Something that counts a text, if there is one. Without its files in a cache, tiktoken would download them."""
    names = ["bpe_openai"]
    if os.environ.get("TIKTOKEN_CACHE_DIR") or os.environ.get("DATA_GYM_CACHE_DIR"):
        names.append("tiktoken")
    for name in names:
        try:
            with (
                warnings.catch_warnings()
            ):  # of what it needs; who has these as errors wants a count too
                warnings.simplefilter("ignore")
                encoding: Any = importlib.import_module(name).get_encoding(VOCABULARY)
            encoding.encode_ordinary("")
        except Exception:  # noqa: BLE001, S112 - not there, broken or without its files: the next one, else the estimate
            continue
        return partial(_counted, encoding)
    return None


def _counted(encoding: Any, text: str) -> int:
    return len(encoding.encode_ordinary(text))
