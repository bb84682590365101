"""The rules that tie tests/claims.py to the tests, as functions that return one sentence per broken rule."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from tests.claims import Claim

# Below these folders every test is about a claim; elsewhere a claim mark is welcome and not required.
FOLDERS_OF_CLAIMS = ("tests/kernel/", "tests/escape/", "tests/faults/")
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\.[a-z0-9]+(-[a-z0-9]+)*")
_PROMISES = re.compile(r"promises? ([0-9]+(?:(?:, | and )[0-9]+)*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A collected test with the ids on its marks."""

    test: str
    claims: tuple[str, ...] = ()
    twins: tuple[str, ...] = ()


def broken_rules(claims: Sequence[Claim], tests: Sequence[Marked]) -> list[str]:
    """Say what is wrong between the manifest and the tests of the whole tree."""
    return [
        *_malformed(claims),
        *_unknown_ids(claims, tests),
        *_unclaimed_tests(tests),
        *_unproved_claims(claims, tests),
    ]


def promises_in(claims: Iterable[Claim]) -> set[int]:
    """Return the numbers of the promises named as a source of any claim."""
    lists = [found for claim in claims for found in _PROMISES.findall(claim.source)]
    return {int(number) for found in lists for number in re.findall("[0-9]+", found)}


def _malformed(claims: Sequence[Claim]) -> Iterator[str]:
    for text, count in Counter(claim.id for claim in claims).items():
        if count > 1:
            yield f"claim {text} is listed {count} times"
    for claim in claims:
        if not _ID.fullmatch(claim.id):
            yield f"claim {claim.id}: an id is family.what in kebab-case"
        if not claim.sentence.endswith(".") or not claim.source:
            yield f"claim {claim.id}: needs a sentence with a full stop, and a source"


def _unknown_ids(claims: Sequence[Claim], tests: Sequence[Marked]) -> Iterator[str]:
    known = {claim.id for claim in claims}
    for test in tests:
        for text in test.claims + test.twins:
            if text not in known:
                yield f"{test.test}: {text} is not in tests/claims.py"


def _unclaimed_tests(tests: Sequence[Marked]) -> Iterator[str]:
    for test in tests:
        if test.test.startswith(FOLDERS_OF_CLAIMS) and not (test.claims or test.twins):
            yield f"{test.test}: has no claim"


def _unproved_claims(claims: Sequence[Claim], tests: Sequence[Marked]) -> Iterator[str]:
    proved = {text for test in tests for text in test.claims}
    twinned = {text for test in tests for text in test.twins}
    for claim in claims:
        if claim.id not in proved:
            yield f"claim {claim.id}: no test proves it"
        if claim.attack and claim.id not in twinned:
            yield f"claim {claim.id}: an attack without a positive twin"
