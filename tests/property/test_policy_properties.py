"""Any value in any field of a policy is accepted and kept, or refused with a PolicyError that can be printed."""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import PurePosixPath
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from protocell.environment import Environment
from protocell.errors import PolicyError
from protocell.limits import Limits, format_size, parse_size
from protocell.policy import Mount, Policy

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.binary(max_size=5)
    | st.text(max_size=9)
    | st.sampled_from(["1GiB", "64k", "landlock", "seccomp", "os", "json.tool", "process"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        | st.tuples(inner)
    ),
    max_leaves=6,
)
TARGETS = st.lists(
    st.sampled_from(["", ".", "..", "home", "user", "tmp", "etc", "data", "a b", "é", "x\n"]),
    max_size=5,
).map(lambda parts: "/" + "/".join(parts))


def made(kind: type[Limits | Environment | Policy], given_fields: Mapping[str, Any]) -> Any:
    """The settings, or None if they were refused as they should be."""
    refusal = ""
    try:
        return kind(**given_fields)
    except PolicyError as refused:
        refusal = str(refused)
    assert refusal.isprintable()
    assert 10 < len(refusal) < 700
    return None


def some_fields(kind: type[Limits | Environment | Policy]) -> st.SearchStrategy[dict[str, Any]]:
    names = [field.name for field in fields(kind)]
    return st.dictionaries(st.sampled_from([*names, "no_such_field"]), ANYTHING, max_size=3)


@given(some_fields(Limits))
def test_limits_are_kept_in_one_type_or_refused(given_fields: dict[str, Any]):
    limits = made(Limits, given_fields)

    if limits is not None:
        kept = {field.name: getattr(limits, field.name) for field in fields(limits)}
        assert {type(value) for name, value in kept.items() if "seconds" in name} == {float}
        assert {type(value) for name, value in kept.items() if "seconds" not in name} == {int}
        assert Limits.from_dict(kept) == limits
        assert str(limits).isprintable()


@given(some_fields(Environment))
def test_environments_are_hashable_or_refused(given_fields: dict[str, Any]):
    environment = made(Environment, given_fields)

    if environment is not None:
        assert hash(environment) == hash(Environment(**given_fields))
        assert str(environment).isprintable()


@given(some_fields(Policy))
def test_policies_survive_json_and_are_hashable_or_refused(given_fields: dict[str, Any]):
    policy = made(Policy, given_fields)

    if policy is not None:
        again = Policy.from_dict(json.loads(json.dumps(policy.to_dict())))
        assert again == policy
        assert hash(again) == hash(policy)
        assert str(policy).replace("\n", "").isprintable()


@given(TARGETS)
def test_a_target_that_is_kept_lies_where_nothing_else_does(target: str):
    try:
        kept = PurePosixPath(Mount(source="/usr", target=target).target)
    except PolicyError:
        return

    assert str(kept).startswith("/")
    assert ".." not in kept.parts
    assert kept not in PurePosixPath("/home/user").parents
    assert kept != PurePosixPath("/home/user")
    assert kept.parts[1] not in {"tmp", "etc"}


@given(st.lists(TARGETS, max_size=5))
def test_mounts_that_are_kept_do_not_overlap(targets: list[str]):
    try:
        mounts = [Mount(source="/usr", target=target) for target in targets]
        kept = [PurePosixPath(mount.target) for mount in Policy(mounts=mounts).mounts]
    except PolicyError:
        return

    overlaps = [
        (one, other)
        for i, one in enumerate(kept)
        for other in kept[:i]
        if one.is_relative_to(other) or other.is_relative_to(one)
    ]
    assert overlaps == []


@given(st.integers(min_value=0, max_value=2**60))
def test_a_size_that_is_shown_can_be_read(size: int):
    assert parse_size(format_size(size).removesuffix("ytes").removesuffix("yte")) == size
