"""Which of many short texts answer a request best: BM25 over words, for the host and for code inside alike.

The formula is Okapi BM25 for texts of several fields (BM25F; Robertson, Zaragoza and Taylor, CIKM 2004): each field has
a weight and a length of its own, so that a long description takes nothing from a name that fits. A text that has more
of the request's words comes before one that has one of them often. Names are split where people read a boundary: at
what is no letter or digit, and in camelCase. Endings are taken off, so that "deleting files" finds ``delete_file``;
words that mean much the same to tools find each other at a discount. No package is needed, and the same texts and
request always give the same order.
"""

from __future__ import annotations

import builtins
import re
from math import log
from typing import TYPE_CHECKING

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WEIGHTS = (4.0, 1.0, 1.0, 0.5)
"""Of name, server, description, and of all that is said about parameters."""
_LENGTHS_COUNT = (0.5, 0.0, 0.5, 0.5)
_SATURATION = 1.2
_DISCOUNT = 0.5
_COVERAGE = 1.0
_MOST_WORDS = 64
_MOST_CHARACTERS = 20_000
_MOST_CHARACTERS_OF_A_NAME = 200
_LIKENESS = 0.6

_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[\W_]+")


class Ranking:
    """Texts, of as many fields each as there are weights, ready to be asked."""

    def __init__(self, texts: Iterable[Sequence[str]], weights: Sequence[float] = WEIGHTS) -> None:
        split = [[words(field[:_MOST_CHARACTERS]) for field in text] for text in texts]
        self._count = len(split)
        self._found: dict[str, dict[int, float]] = {}
        means = [
            sum(len(text[field]) for text in split) / max(1, self._count) or 1.0
            for field in range(len(weights))
        ]
        for number, text in enumerate(split):
            for word, weight in _weighed(text, weights, means).items():
                self._found.setdefault(word, {})[number] = weight

    def best(self, request: str, most: int = 10) -> list[int]:
        """Numbers of the texts that answer it, best first; of equals the earlier one first."""
        asked = list(dict.fromkeys(words(request[:_MOST_CHARACTERS])))[:_MOST_WORDS]
        scores: dict[int, float] = {}
        covered: dict[int, int] = {}
        for word in asked:
            for number, score in self._scores(word, asked).items():
                scores[number] = scores.get(number, 0.0) + score
                covered[number] = covered.get(number, 0) + 1

        def order(number: int) -> tuple[float, int]:
            share = covered[number] / len(asked)
            return -scores[number] * (1 + _COVERAGE * share), number

        return sorted(scores, key=order)[:most]

    def _scores(self, word: str, asked: list[str]) -> dict[int, float]:
        """What this word adds to each text: it, or the best of those that mean the same."""
        best: dict[int, float] = {}
        alike = [(other, _DISCOUNT) for other in _ALIKE.get(word, ()) if other not in asked]
        for other, factor in [(word, 1.0), *alike]:
            places = self._found.get(other, {})
            rarity = log(1 + (self._count - len(places) + 0.5) / (len(places) + 0.5))
            for number, weight in places.items():
                score = factor * rarity * weight * (_SATURATION + 1) / (weight + _SATURATION)
                best[number] = max(score, best.get(number, 0.0))
        return best


def _weighed(
    text: Sequence[Sequence[str]], weights: Sequence[float], means: Sequence[float]
) -> dict[str, float]:
    found: dict[str, float] = {}
    for field, weight, mean, counts in zip(text, weights, means, _LENGTHS_COUNT, strict=False):
        each = weight / (1 - counts + counts * len(field) / mean)
        for word in field:
            found[word] = found.get(word, 0.0) + each
    return found


def words(text: str) -> list[str]:
    """The words of a text or name that say something, without their endings."""
    return [
        stem(word)
        for piece in _BOUNDARY.split(text)
        if (word := piece.lower()) and word not in _STOP
    ]


def stem(word: str) -> str:
    """An English word without its ending; the same for its forms, which is all that is asked of it."""
    if len(word) < 4 or not word.isascii():
        return word
    word = _without_plural(word)
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            doubled = len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz"
            word = word[:-1] if doubled else word
            break
    if word.endswith(("tion", "sion")) and len(word) > 5:
        word = word[:-3]
    if word.endswith("our") and len(word) > 4:
        word = f"{word[:-3]}or"
    return word[:-1] if word.endswith("e") and len(word) > 3 else word


def _without_plural(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return f"{word[:-3]}y"
    if word.endswith("sses"):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def nearest(name: str, names: Iterable[str], most: int = 3) -> list[str]:
    """The known names that are most like a wrong one: in their letters, or in their words, whatever the order."""
    from difflib import SequenceMatcher  # noqa: PLC0415  (for a name that is wrong alone)

    wanted = name[:_MOST_CHARACTERS_OF_A_NAME]
    asked = set(words(wanted))
    matcher = SequenceMatcher(None, "", wanted.lower(), autojunk=False)
    scores: dict[str, float] = {}
    for each in names:
        matcher.set_seq1(each[:_MOST_CHARACTERS_OF_A_NAME].lower())
        found = set(words(each[:_MOST_CHARACTERS_OF_A_NAME]))
        shared = len(asked & found) / len(asked | found) if asked else 0.0
        # As in difflib, the cheap upper bound is asked first.
        letters = matcher.ratio() if matcher.real_quick_ratio() >= _LIKENESS else 0.0
        if (score := max(letters, shared)) >= _LIKENESS:
            scores[each] = score + shared / 100
    return sorted(scores, key=lambda each: (-scores[each], each))[:most]


_STOP_WORDS = """
    a an and any are as at be been but by can could did do does for from give had has have how i if in into is it its
    let may me my of on or our please shall should so some somebody than that the their them then there these they
    this those to use used using via want was we were what when where who will with would you your
"""
_STOP = frozenset(_STOP_WORDS.split())
_GROUPS = (
    "create add new make insert start put build open propose",
    "delete remove drop erase forget clear empty",
    "get read fetch retrieve show view load download see",
    "list all every which",
    "update edit change modify set replace adjust patch",
    "search find look query locate",
    "run execute evaluate",
    "write save store record remember",
    "send post reply answer tell message comment note",
    "copy duplicate fork clone",
    "move rename",
    "compare diff difference",
    "calculate compute sum much",
    "log history",
    "relation link connection",
    "schema column field structure",
    "directory folder",
    "issue bug ticket",
    "picture image photo screenshot logo",
    "convert turn transform export",
    "repository repo project",
    "page website site url tab",
    "text content",
)


def _alike() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for group in _GROUPS:
        same = words(group)
        for word in same:
            found[word] = (*found.get(word, ()), *(other for other in same if other != word))
    return found


_ALIKE = _alike()
