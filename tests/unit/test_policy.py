"""Policies: nothing is allowed by default, everything is checked at once, refusals say what to do."""

import dataclasses
import json
import pickle  # noqa: TID251  # only our own objects, made here
import socket
from pathlib import Path
from typing import Any

import pytest

from protocell._layers import KERNEL_LAYERS, NEVER_WAIVED, PROCESS_LAYERS
from protocell.environment import Environment
from protocell.errors import PolicyError
from protocell.limits import Limits
from protocell.policy import Envs, Mount, Policy
from protocell_guest.wire import MAX_PACKET_BYTES


def refusal(**fields: Any) -> str:
    with pytest.raises(PolicyError) as caught:
        Policy(**fields)
    return str(caught.value)


def mount_refusal(source: Any, target: Any) -> str:
    with pytest.raises(PolicyError) as caught:
        Mount(source=source, target=target)
    return str(caught.value)


def a_full_policy(folder: Path) -> Policy:
    return Policy(
        limits=Limits(wall_seconds=5),
        mounts=[Mount(source=folder, target="/data")],
        deny_imports=["socket", "ctypes", "socket"],
        allow_imports=[],
        envs={"TOKEN": "secret", "LANG": "C.UTF-8"},
        waive=["landlock"],
        require={"cgroup-v2"},
        environment=Environment(preload=["json"], ready=0),
    )


def test_the_default_policy_gives_nothing_of_the_host():
    default = Policy()

    assert default.mounts == ()
    assert default.envs == {}
    assert default.isolation == "kernel"
    assert (default.waive, default.require) == (frozenset(), frozenset())
    assert (default.deny_imports, default.allow_imports) == (None, None)


def test_a_policy_reads_like_a_page(tmp_path: Path):
    limits = Limits(wall_seconds=5)

    assert str(a_full_policy(tmp_path)).splitlines() == [
        "isolation: kernel",
        f"limits: {limits}",
        f"mounts: {tmp_path} at /data (read-only)",
        "imports: only none, not ctypes, socket",
        "variables: TOKEN, LANG",
        "waived if missing: landlock",
        "required beyond the default: cgroup-v2",
        "environment: this Python, json preloaded, 0 kept ready",
    ]
    assert str(Policy()).splitlines() == [
        "isolation: kernel",
        f"limits: {Limits()}",
        "mounts: none",
        "imports: all",
        "variables: none",
        "waived if missing: nothing",
        "required beyond the default: nothing",
        "environment: this Python, nothing preloaded, 2 kept ready",
    ]


def test_a_policy_without_a_kernel_says_which_of_its_limits_do_not_hold():
    assert str(Policy(isolation="process")).splitlines()[1:3] == [
        f"limits: {Limits()}",
        (
            "not enforced: processes, workspace, tmp; memory, CPU, open files and file size hold for "
            "each process alone"
        ),
    ]


def test_values_of_variables_are_not_shown(tmp_path: Path):
    policy = a_full_policy(tmp_path)

    assert [shown for shown in (str(policy), repr(policy)) if "secret" in shown] == []
    assert repr(policy.envs) == "Envs(TOKEN=..., LANG=...)"


def test_equal_policies_are_one_key(tmp_path: Path):
    assert len({a_full_policy(tmp_path), a_full_policy(tmp_path), Policy(), Policy()}) == 2
    assert Policy(envs={"A": "1"}) != Policy(envs={"A": "2"})


def test_a_policy_cannot_be_changed_but_replaced():
    policy = Policy()

    with pytest.raises(dataclasses.FrozenInstanceError):
        policy.waive = frozenset({"seccomp"})  # type: ignore[misc]
    with pytest.raises(TypeError):
        policy.envs["A"] = "1"  # type: ignore[index]
    assert dataclasses.replace(policy, envs={"A": "1"}).envs == {"A": "1"}


def test_a_policy_survives_json_and_pickle(tmp_path: Path):
    policy = a_full_policy(tmp_path)

    assert Policy.from_dict(json.loads(json.dumps(policy.to_dict()))) == policy
    assert pickle.loads(pickle.dumps(policy)) == policy


def test_a_mapping_may_have_mappings_in_it(tmp_path: Path):
    policy = Policy.from_dict(
        {
            "limits": {"wall_seconds": 5},
            "environment": {"ready": 0},
            "mounts": [
                {"source": str(tmp_path), "target": "/data"},
                Mount(source=tmp_path, target="/more"),
            ],
        }
    )

    assert policy == Policy(
        limits=Limits(wall_seconds=5),
        environment=Environment(ready=0),
        mounts=[
            Mount(source=tmp_path, target="/data"),
            Mount(source=tmp_path, target="/more"),
        ],
    )


@pytest.mark.parametrize(
    "given, message",
    [
        ({"mount": []}, "Policy has no field 'mount'; did you mean 'mounts'?"),
        (
            {"limits": {"wall_second": 1}},
            "Limits has no field 'wall_second'; did you mean 'wall_seconds'?",
        ),
        (
            {"mounts": [{"target": "/data"}]},
            "Mount needs source, as in Mount(source=..., target=...)",
        ),
        (
            {"mounts": [{"source": "/", "target": "/data", "mode": "rw"}]},
            "Mount has no field 'mode'; allowed are source, target",
        ),
        ([], "Policy is []; allowed is a mapping of field names to values"),
    ],
    ids=["field", "limit", "missing", "mode", "list"],
)
def test_a_mapping_that_is_no_policy_is_refused(given: Any, message: str):
    with pytest.raises(PolicyError) as caught:
        Policy.from_dict(given)

    assert str(caught.value) == message


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"network": True}, "Policy has no field 'network'; allowed are limits, mounts, "),
        (
            {"limits": {}},
            "limits is {}; allowed is Limits(...), or a mapping through Policy.from_dict",
        ),
        ({"environment": None}, "environment is None; allowed is Environment(...), or a mapping"),
        ({"isolation": "none"}, "isolation is 'none'; allowed is 'kernel', 'process'"),
        ({"isolation": None}, "isolation is None; allowed is 'kernel', 'process'"),
        ({"isolation": ["kernel"]}, "isolation is ['kernel']; allowed is 'kernel', 'process'"),
        ({"mounts": "/data"}, "mounts is '/data'; allowed is a sequence of Mount(...)"),
        ({"mounts": None}, "mounts is None; allowed is a sequence of Mount(...)"),
        ({"mounts": ["/data"]}, "a mount is '/data'; allowed is Mount(...), or a mapping"),
        ({"deny_imports": "os"}, "deny_imports is the string 'os'; write ['os']"),
        ({"allow_imports": ["os path"]}, "allow_imports has 'os path' in it; allowed are names"),
        (
            {"deny_imports": ["os"], "allow_imports": ["os"]},
            "'os' is in deny_imports and in allow_imports; decide for one",
        ),
        ({"deny_imports": [f"module{i:0190}" for i in range(100)]}, "deny_imports is 20000 bytes"),
        ({"waive": "seccomp"}, "waive is the string 'seccomp'; write ['seccomp']"),
        (
            {"waive": ["seccmp"]},
            "waive has 'seccmp', which isolation='kernel' does not have; did you mean 'seccomp'?",
        ),
        (
            {"require": ["landlock"], "waive": ["landlock"]},
            "landlock is in waive and in require; decide for one",
        ),
        (
            {"isolation": "process", "require": ["seccomp"]},
            "require has 'seccomp', which isolation='process' does not have; allowed are isolated",
        ),
    ],
    ids=range(17),
)
def test_a_field_that_is_wrong_is_named(fields: dict[str, Any], message: str):
    assert refusal(**fields)[: len(message)] == message


def test_a_field_without_its_name_is_refused():
    with pytest.raises(PolicyError) as caught:
        Policy(Limits())  # type: ignore[call-arg]

    assert str(caught.value) == "Policy takes its fields by name only, as in Policy(limits=...)"


# -- layers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", KERNEL_LAYERS)
def test_a_layer_can_be_waived_or_there_is_a_reason(layer: str):
    if layer in NEVER_WAIVED:
        assert refusal(waive=[layer]) == f"{layer} cannot be waived: {NEVER_WAIVED[layer]}"
    else:
        assert Policy(waive=[layer]).waive == {layer}


def test_what_can_be_waived_is_a_second_lock_or_a_limit():
    assert sorted(set(KERNEL_LAYERS) - set(NEVER_WAIVED)) == [
        "cgroup-namespace",
        "cgroup-v1",
        "cgroup-v2",
        "ipc-namespace",
        "landlock",
        "memory-watch",
        "seccomp",
        "uts-namespace",
    ]


@pytest.mark.parametrize("layer", KERNEL_LAYERS)
def test_every_layer_can_be_required(layer: str):
    assert Policy(require=[layer]).require == {layer}


@pytest.mark.parametrize("layer", PROCESS_LAYERS)
def test_every_layer_of_a_process_can_be_required(layer: str):
    assert Policy(isolation="process", require=[layer]).require == {layer}


# -- variables -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "A=B", "A B", "1A", "A\0", "É", 3, "A-B"])
def test_a_variable_has_a_plain_name(name: Any):
    shown = repr(name)

    assert refusal(envs={name: "x"}) == (
        f"envs has the name {shown}; allowed are letters, digits and '_'"
    )


@pytest.mark.parametrize("name", ["LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHASHSEED"])
def test_variables_of_the_loader_and_of_python_are_refused(name: str):
    assert refusal(envs={name: "x"}) == (
        f"envs has {name}, which is not allowed: "
        "it steers the loader or the interpreter itself, which the sandbox has fixed"
    )


@pytest.mark.parametrize("value", ["a\0b", "\ud800", 3, None, b"x"])
def test_a_variable_has_text_as_its_value(value: Any):
    assert refusal(envs={"A": value}) == (
        "envs has a value for A that is not text without NUL bytes"
    )


@pytest.mark.parametrize("given", [None, "A=1", [("A", "1")]])
def test_variables_are_a_mapping(given: Any):
    assert refusal(envs=given) == (f"envs is {given!r}; allowed is a mapping of names to values")


def test_variables_have_a_total_size():
    assert len(Policy(envs={"A": "x" * 65527}).envs["A"]) == 65527
    assert refusal(envs={"A": "x" * 65528}) == "envs is 65537 bytes long as JSON; at most 65536"


def test_variables_are_a_mapping_that_cannot_change():
    given = {"A": "1"}
    envs = Envs(given)
    given["A"] = "2"

    assert dict(envs) == {"A": "1"}
    assert len(envs) == 1
    assert hash(envs) == hash(Envs({"A": "1"}))


# -- mounts ----------------------------------------------------------------------------------------


def test_a_source_is_the_real_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    real = str(tmp_path / "real")

    sources: list[str | Path] = [tmp_path / "real", "real", "./link", "~/link", f"{real}/../link/"]

    assert {Mount(source=source, target="/data").source for source in sources} == {real}


def test_a_source_may_be_a_file(tmp_path: Path):
    file = tmp_path / "a.csv"
    file.write_text("a")

    assert str(Mount(source=file, target="/data/a.csv")) == f"{file} at /data/a.csv (read-only)"


def test_a_source_that_is_not_there_is_refused(tmp_path: Path):
    path = str(tmp_path / "none")

    assert mount_refusal(path, "/data") == (
        f"mount source {path!r}: No such file or directory ({path!r})"
    )


def test_a_source_that_is_neither_file_nor_folder_is_refused(tmp_path: Path):
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)

        assert mount_refusal(path, "/data") == (
            f"mount source {path!r} is neither a folder nor a regular file"
        )


@pytest.mark.parametrize("source", ["/", "/proc", "/proc/self", "/sys/kernel", "/dev", "/run"])
def test_the_whole_host_and_its_services_are_no_source(source: str):
    assert mount_refusal(source, "/data").endswith(
        "is not allowed: name the folder that the code needs; "
        "system services must stay out of reach"
    )


@pytest.mark.parametrize("field", ["source", "target"])
@pytest.mark.parametrize("value", ["", None, 3, b"/tmp", ["/tmp"]])
def test_a_mount_has_paths(field: str, value: Any):
    with pytest.raises(PolicyError) as caught:
        Mount(**{"source": "/usr", "target": "/data", field: value})

    assert str(caught.value) == f"mount {field} is {value!r}; allowed is a path"


@pytest.mark.parametrize("field", ["source", "target"])
def test_a_path_has_no_nul_byte(field: str):
    with pytest.raises(PolicyError) as caught:
        Mount(**{"source": "/usr", "target": "/data", field: "/a\0b"})

    assert str(caught.value) == (
        f"mount {field} is '/a\\x00b'; a path cannot have a NUL byte in it"
    )


@pytest.mark.parametrize(
    "target, kept",
    [
        ("/data", "/data"),
        ("//data/./x/", "/data/x"),
        (Path("/mnt/x"), "/mnt/x"),
        ("/home/user/data", "/home/user/data"),
        ("/home/other", "/home/other"),
        ("/opt/" + "x" * 255, "/opt/" + "x" * 255),
        ("/data/a b é", "/data/a b é"),
        ("/..a/b..", "/..a/b.."),
        ("/device", "/device"),
    ],
    ids=range(9),
)
def test_a_target_is_kept_in_its_plain_form(target: str, kept: str):
    assert Mount(source="/usr", target=target).target == kept


@pytest.mark.parametrize(
    "target", ["data", "./data", "~/data", "/a\nb", "/a\x1bb", "/a\ud800", "/a\u202eb", "/" * 4096]
)
def test_a_target_is_absolute_and_printable(target: str):
    assert mount_refusal("/usr", target).endswith("is not an absolute, printable path")


@pytest.mark.parametrize("target", ["/data/..", "/data/../etc", "/../data", "/" + "é" * 128])
def test_a_target_goes_straight_down(target: str):
    assert mount_refusal("/usr", target).endswith("has '..' or a name of over 255 bytes in it")


@pytest.mark.parametrize(
    "target",
    [
        *("/", "/.", "/proc", "/proc/1", "/sys/x", "/dev/shm", "/run/x", "/tmp", "/tmp/x"),
        *("/etc", "/etc/ssl", "/usr", "/usr/local/x", "/bin", "/sbin/x", "/lib", "/lib64/x"),
        *("/home", "/home/user", "/home/user/", "/home/./user"),
    ],
)
def test_a_target_is_not_where_the_sandbox_has_something(target: str):
    assert mount_refusal("/usr", target) == (
        f"mount target {target!r} is not free; allowed is below /home/user, /mnt, /data "
        "or another place that the sandbox does not use"
    )


@pytest.mark.parametrize(
    "targets, message",
    [
        (["/a", "/a"], "mount target '/a' overlaps '/a'"),
        (["/a/b/c", "/x", "/a"], "mount target '/a/b/c' overlaps '/a'"),
        (["/a", "/a-b", "/a/b"], "mount target '/a/b' overlaps '/a'"),
    ],
    ids=["same", "nested", "neighbours"],
)
def test_mounts_that_overlap_are_refused(targets: list[str], message: str):
    mounts = [Mount(source="/usr", target=target) for target in targets]

    assert refusal(mounts=mounts) == message


def test_mounts_side_by_side_are_allowed():
    mounts = [Mount(source="/usr", target=target) for target in ("/b", "/a-b", "/a")]

    assert Policy(mounts=mounts).mounts == tuple(mounts)


def test_mounts_are_counted():
    mounts = [Mount(source="/usr", target=f"/m{i}") for i in range(65)]

    assert refusal(mounts=mounts) == "mounts has 65 entries; at most 64"


def test_mounts_have_a_total_size():
    mounts = [Mount(source="/usr", target=f"/{i}" + "/é" * 200) for i in range(40)]

    assert refusal(mounts=mounts).endswith("bytes long as JSON; at most 49152")


def test_mounts_are_for_the_kernel_to_make():
    assert refusal(isolation="process", mounts=[Mount(source="/usr", target="/a")]) == (
        "mounts need isolation='kernel'; with 'process' pass files instead"
    )


def test_the_largest_policy_fits_into_a_packet():
    names = [f"m{i:06}" for i in range(1_300)]
    largest = Policy(
        envs={"A": "x" * 65_000},
        deny_imports=names,
        allow_imports=[f"x{name}" for name in names],
        mounts=[Mount(source="/usr", target=f"/{i}" + "/x" * 340) for i in range(64)],
    )

    assert len(json.dumps(largest.to_dict())) < MAX_PACKET_BYTES - 40_000
