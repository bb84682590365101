"""The manifest of claims and the test tree agree, whichever part of the tests is being run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.claim_rules import Marked, broken_rules, promises_in
from tests.claims import CLAIMS, PROMISES, Claim
from tests.features import KNOWN

ROOT = Path(__file__).parent.parent

READ = Claim(id="files.read-outside", sentence="Nothing outside is read.", source="promise 1")
WRITE = Claim(id="files.write", sentence="Nothing is changed.", source="promise 2", attack=True)


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> list[Marked]:
    """Every test of the tree with its marks, from a collection of its own: this run may be of one file."""
    marks = tmp_path_factory.mktemp("claims") / "marks.json"
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, f"--write-marks={marks}", str(ROOT / "tests")],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [
        Marked(test=test, claims=tuple(claims), twins=tuple(twins))
        for test, claims, twins in json.loads(marks.read_text())
    ]


def test_the_manifest_and_the_tests_agree(collected: list[Marked]) -> None:
    assert broken_rules(CLAIMS, collected) == []


def test_every_promise_is_the_source_of_a_claim() -> None:
    assert sorted(PROMISES - promises_in(CLAIMS)) == []


def test_every_feature_that_a_claim_needs_exists() -> None:
    assert {feature for claim in CLAIMS for feature in claim.needs} - KNOWN == set()


def test_the_collection_sees_the_tests_of_this_file(collected: list[Marked]) -> None:
    name = "tests/test_claims.py::test_the_collection_sees_the_tests_of_this_file"

    assert [marked for marked in collected if marked.test == name] == [Marked(test=name)]


def test_a_proved_claim_breaks_no_rule() -> None:
    assert broken_rules([READ], [Marked(test="tests/escape/a.py::b", claims=(READ.id,))]) == []


def test_a_claim_without_a_test_is_found() -> None:
    assert broken_rules([READ], []) == ["claim files.read-outside: no test proves it"]


def test_a_twin_alone_proves_nothing() -> None:
    tests = [Marked(test="tests/escape/a.py::b", twins=(READ.id,))]

    assert broken_rules([READ], tests) == ["claim files.read-outside: no test proves it"]


def test_an_attack_without_a_positive_twin_is_found() -> None:
    tests = [Marked(test="tests/escape/a.py::b", claims=(WRITE.id,))]

    assert broken_rules([WRITE], tests) == ["claim files.write: an attack without a positive twin"]


def test_an_attack_with_its_twin_breaks_no_rule() -> None:
    tests = [
        Marked(test="tests/escape/a.py::b", claims=(WRITE.id,)),
        Marked(test="tests/escape/a.py::c", twins=(WRITE.id,)),
    ]

    assert broken_rules([WRITE], tests) == []


@pytest.mark.parametrize("folder", ["kernel", "escape", "faults"])
def test_a_test_without_a_claim_is_found_where_claims_are_proved(folder: str) -> None:
    tests = [Marked(test=f"tests/{folder}/a.py::b")]

    assert broken_rules([], tests) == [f"tests/{folder}/a.py::b: has no claim"]


def test_a_test_elsewhere_needs_no_claim() -> None:
    assert broken_rules([], [Marked(test="tests/unit/a.py::b")]) == []


def test_an_id_that_is_not_in_the_manifest_is_found() -> None:
    tests = [Marked(test="tests/unit/a.py::b", claims=("files.nothing",))]

    assert broken_rules([], tests) == [
        "tests/unit/a.py::b: files.nothing is not in tests/claims.py"
    ]


def test_an_id_twice_in_the_manifest_is_found() -> None:
    tests = [Marked(test="tests/unit/a.py::b", claims=(READ.id,))]

    assert broken_rules([READ, READ], tests) == ["claim files.read-outside is listed 2 times"]


def test_an_id_that_is_not_kebab_case_is_found() -> None:
    claim = Claim(id="Files_Read", sentence="Nothing is read.", source="promise 1")

    assert broken_rules([claim], [Marked(test="tests/unit/a.py::b", claims=("Files_Read",))]) == [
        "claim Files_Read: an id is family.what in kebab-case"
    ]


def test_several_promises_in_one_source_are_all_read() -> None:
    source = "promises 1, 2 and 83; CVE-2019-5736; promise 14"
    claim = Claim(id="a.b", sentence="It holds.", source=source)

    assert promises_in([claim]) == {1, 2, 14, 83}
