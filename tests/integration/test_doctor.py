"""``protocell doctor``, where everything works and where it does not; and what the API says in the same place."""

import errno
import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from protocell._boxes.remedies import Machine, explain_failure, namespace_remedy, remedy_for
from protocell._layers import KERNEL_LAYERS
from protocell.doctor import PROTECTS
from protocell.doctor.bait import laid_out
from protocell.doctor.checks import CHECKS
from protocell.doctor.packages import unreadable
from protocell.doctor.prelude import PRELUDE
from protocell.environment import Environment
from protocell.errors import SetupError, UnsupportedError
from tests.faults.processes import python_with
from tests.integration.commands import Done, protocell, run, started, wait_for

REFUSING = str(Path(__file__).with_name("refusing.py"))
CONTAINER = "clone,unshare,setns,mount,umount2,pivot_root,open_tree,move_mount,fsopen,mount_setattr"
LANDLOCK = "landlock_create_ruleset,landlock_add_rule,landlock_restrict_self"
NO_USER_NAMESPACES = (
    *("unshare", "--user", "--map-root-user", "sh", "-c"),
    'echo 0 > /proc/sys/user/max_user_namespaces && exec "$0" "$@"',
)
MEMORY = {"cgroup-v1", "cgroup-v2", "memory-watch"}
ASK_THE_API = (
    "import protocell, json\n"
    "try: protocell.run_code('1')\n"
    "except protocell.ProtocellError as error:\n"
    "  print(json.dumps([type(error).__name__, error.missing, error.remedy, str(error)]))\n"
)


HARMLESS = {
    "be in one of its own (works)",
    "see host processes",
    "signal a host process",
    "connect to a host service",
    "ask for the host name",
    "read a host file",
    "list its folder",
    "read a variable of the host",
    "find an open file of the host",
    "read its capabilities",
    "read the flag",
    "read the mode",
}


def under_a_filter(code: str, calls: str) -> tuple[str, ...]:
    return (sys.executable, REFUSING, code, calls, "--")


def examined(**options: Any) -> tuple[Done, dict[str, Any], dict[str, dict[str, Any]]]:
    """The command, its JSON object, and its rows by layer."""
    done = protocell("doctor", "--json", **options)
    report = json.loads(done.out)
    return done, report, {row["layer"]: row for row in report["layers"]}


def ask_the_api(before: tuple[str, ...]) -> list[Any]:
    """Class, missing, remedy and message of what it raises."""
    done = subprocess.run(
        [*before, sys.executable, "-c", ASK_THE_API], capture_output=True, check=True, timeout=60
    )
    answer: list[Any] = json.loads(done.stdout)
    return answer


# -- where everything works --------------------------------------------------------------------------


def test_here_every_layer_works_and_every_attempt_fails():
    done, report, rows = examined()

    assert (done.code, done.err, report["enforceable"], report["error"]) == (0, b"", True, "")
    assert {row["works"] for row in rows.values()} == {"yes"}
    assert len(MEMORY & rows.keys()) == 1
    assert rows.keys() | MEMORY == set(KERNEL_LAYERS)
    attempts = [trial for row in rows.values() for trial in row["tried"]]
    assert [trial for trial in attempts if not trial["held"]] == []
    assert all(row["tried"] and row["protects"] for row in rows.values())


def test_the_table_has_a_row_for_each_layer_and_a_verdict():
    done = protocell("doctor")

    lines = done.text.splitlines()
    assert done.code == 0
    assert lines[0].startswith("kernel: Linux ")
    assert lines[1].split() == ["layer", "works?", "what", "it", "protects", "tried", "remedy"]
    assert {line.split()[0] for line in lines if line.split()[1:2] == ["yes"]} | MEMORY == set(
        KERNEL_LAYERS
    )
    assert lines[-1] == "The default policy can be enforced on this machine."


def test_each_layer_has_a_sentence_on_what_it_protects():
    assert PROTECTS.keys() == set(KERNEL_LAYERS)


def test_the_checks_find_it_out_where_nothing_is_on():
    """Those that do no harm where they succeed are run in a plain child: not one may call it a sandbox."""
    harmless = [check for check in CHECKS if check.what in HARMLESS]

    with laid_out() as bait:
        facts = "\n".join(f"{name} = {value!r}" for name, value in bait.facts().items())
        shows = "import json; print(json.dumps([eval(p) for p in json.loads(input())]))"
        done = subprocess.run(
            [sys.executable, "-c", f"{PRELUDE}\n{facts}\n{shows}"],
            input=json.dumps([check.program for check in harmless]),
            capture_output=True,
            check=True,
            text=True,
            close_fds=False,
        )

    seen = json.loads(done.stdout)
    assert {check.what for check in harmless} == HARMLESS
    assert [c.what for c, value in zip(harmless, seen, strict=True) if value in c.expected] == []


def test_an_examination_that_is_ended_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where no other doctor works at the same time
    with started("doctor", "--json") as process:
        wait_for(lambda: has_bait(tmp_path), "the doctor's folder")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 128 + signal.SIGTERM

    assert not has_bait(tmp_path)


def test_an_examination_that_is_killed_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with started("doctor", "--json") as process:
        wait_for(lambda: has_bait(tmp_path), "the doctor's folder")
        wait_for(lambda: has_started(process.pid), "what removes it")
        process.kill()
        process.wait(30)
        wait_for(lambda: not has_bait(tmp_path), "the end of its folder")


def has_started(doctor: int) -> bool:
    """Whether the doctor has the process that code inside must not reach."""
    children = Path(f"/proc/{doctor}/task/{doctor}/children").read_text().split()
    return any("protocell-doctor-bait" in command_line(child) for child in children)


def command_line(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""  # it has ended


def has_bait(folder: Path) -> bool:
    return any(name.startswith("protocell-doctor-") for name in os.listdir(folder))


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user is the same user inside")
def test_packages_that_only_root_can_read_are_named_with_the_remedy():
    with python_with("mine", "") as python:
        environment = Environment(python=python, ready=0)
        before = unreadable(frozenset(), environment)
        packages = next(Path(python).parents[1].glob("lib/*/site-packages"))
        Path(packages, "mine.py").chmod(0o600)
        of_a_module = unreadable(frozenset(), environment)
        packages.chmod(0o700)
        of_a_folder = unreadable(frozenset(), environment)
        remedy = of_a_folder.rpartition(". ")[2]
        subprocess.run(shlex.split(remedy), check=True)

        assert before == unreadable(frozenset(), environment) == ""
        assert of_a_module.startswith(f"Code inside cannot read {packages}/mine.py, and")
        assert of_a_folder.startswith(f"Code inside cannot read {packages}, and")
        assert remedy == f"chmod -R a+rX {packages.parents[2]}"


# -- where it does not -------------------------------------------------------------------------------


def test_without_user_namespaces_the_api_says_what_is_missing_and_what_to_do():
    name, missing, remedy, message = ask_the_api(NO_USER_NAMESPACES)

    assert (name, missing) == ("UnsupportedError", ["user-namespace"])
    assert remedy == (
        "user namespaces cannot be made here; user.max_user_namespaces is 0 here: as root, "
        "sysctl -w user.max_user_namespaces=15000, and the same line in a file in /etc/sysctl.d; "
        "inside a container or a user namespace the limit of the machine around it counts as well"
    )
    assert message.startswith("cannot enforce user-namespace (ENOSPC: ")
    assert message.endswith(f": {remedy}")


def test_without_user_namespaces_the_doctor_says_so_and_what_needs_them():
    done, report, rows = examined(before=NO_USER_NAMESPACES)

    assert (done.code, report["enforceable"]) == (UnsupportedError.exit_code, False)
    works = {layer: row["works"] for layer, row in rows.items() if layer not in MEMORY}
    assert {layer for layer, found in works.items() if found == "no"} == {"user-namespace"}
    assert {layer for layer, found in works.items() if found == "yes"} == {
        *("no-new-privileges", "seccomp", "landlock")
    }
    assert "user.max_user_namespaces is 0 here" in rows["user-namespace"]["remedy"]
    assert report["error"].startswith("cannot enforce user-namespace (ENOSPC: ")


def test_without_user_namespaces_the_table_shows_it_with_the_remedy():
    done = protocell("doctor", before=NO_USER_NAMESPACES)

    lines = done.text.splitlines()
    assert (done.code, done.err) == (UnsupportedError.exit_code, b"")
    row = next(line.split() for line in lines if line.startswith("user-namespace "))
    assert (row[1], row[-2:]) == ("no", ["see", "1"])
    assert lines[-2].startswith("Remedy 1: user namespaces cannot be made here; ")
    assert lines[-1].startswith("The default policy CANNOT be enforced on this machine: cannot ")


def test_without_user_namespaces_no_code_runs():
    done = run("print('it ran')", before=NO_USER_NAMESPACES)

    assert (done.code, done.out) == (UnsupportedError.exit_code, b"")
    assert done.messages.startswith("protocell: cannot enforce user-namespace (ENOSPC: ")


def test_under_a_containers_profile_the_api_names_the_profile():
    name, missing, remedy, _ = ask_the_api(under_a_filter("EPERM", CONTAINER))

    assert (name, missing) == ("UnsupportedError", ["user-namespace"])
    assert remedy.startswith(
        "user namespaces cannot be made here; a system call filter is on this process"
    )


def test_under_a_containers_profile_the_doctor_names_it_too():
    done, _, rows = examined(before=under_a_filter("EPERM", CONTAINER))

    assert done.code == UnsupportedError.exit_code
    assert rows["user-namespace"]["works"] == "no"
    assert "docker and podman: --security-opt seccomp=" in rows["user-namespace"]["remedy"]
    assert rows["new-root"]["works"] == "untried"


@pytest.mark.parametrize("calls", ["mount", "pivot_root", "fsopen", "open_tree", "mount_setattr"])
def test_a_profile_that_refuses_one_call_is_found_out(calls: str):
    done, report, rows = examined(before=under_a_filter("EPERM", calls))

    assert (done.code, report["enforceable"]) == (UnsupportedError.exit_code, False)
    assert rows["new-root"]["works"] == "no"
    assert "a system call filter is on this process" in rows["new-root"]["remedy"]


@pytest.mark.parametrize("code", ["ENOSYS", "EOPNOTSUPP", "EPERM"])
def test_without_landlock_the_rest_is_tried_all_the_same(code: str):
    done, report, rows = examined(before=under_a_filter(code, LANDLOCK))

    assert (done.code, report["enforceable"], report["error"]) == (3, False, "")
    assert {layer for layer, row in rows.items() if row["works"] != "yes"} == {"landlock"}
    assert rows["landlock"]["remedy"].endswith(
        "to go on without it: Policy(waive={'landlock'}), or --waive landlock"
    )


def test_without_landlock_code_runs_only_where_it_is_waived():
    before = under_a_filter("ENOSYS", LANDLOCK)

    refused = run("print('it ran')", before=before)
    waived = run("1 + 1", "--waive", "landlock", "--json", before=before)

    assert (refused.code, refused.out) == (UnsupportedError.exit_code, b"")
    assert (waived.code, json.loads(waived.out)["text"]) == (0, "2")
    assert "landlock" not in json.loads(waived.out)["enforced"]


# -- remedies ----------------------------------------------------------------------------------------


def machine(root: Path, files: dict[str, str], *, is_root: bool = False) -> Machine:
    """One whose settings are these files."""
    for path, content in {"proc/self/ns/user": "", **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content)
    return Machine(root=str(root), is_root=is_root, python="/opt/python")


RESTRICTED = {"proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n"}


def test_ubuntus_restriction_is_answered_with_a_profile_for_this_python(tmp_path: Path):
    remedy = namespace_remedy("clone", errno.EPERM, machine(tmp_path, RESTRICTED))

    assert "profile protocell /opt/python flags=(unconfined) { userns, }\n" in remedy
    assert "apparmor_parser -r /etc/apparmor.d/protocell" in remedy
    assert "sysctl" not in remedy


@pytest.mark.parametrize(
    "files, code, start",
    [
        ({}, errno.EPERM, "no setting that is known to forbid it is on"),
        (
            {"proc/sys/user/max_net_namespaces": "0\n"},
            errno.ENOSPC,
            "user.max_net_namespaces is 0 here: as root, sysctl -w user.max_net_namespaces=15000",
        ),
        ({}, errno.ENOSPC, "as many as may be are in use: as root, sysctl -w"),
        ({}, errno.EUSERS, "as many as may be are in use: as root, sysctl -w"),
        ({"proc/self/status": "Seccomp:\t2\n"}, errno.EPERM, "a system call filter is on"),
        ({"proc/self/status": "Seccomp:\t2\n"}, errno.EACCES, "no setting that is known"),
        ({"proc/self/status": "Seccomp:\t0\n"}, errno.EPERM, "no setting that is known"),
        (
            {"proc/sys/kernel/unprivileged_userns_clone": "0\n"},
            errno.EPERM,
            "user namespaces are for root alone here",
        ),
        (
            {"proc/self/attr/current": "docker-default (enforce)\n"},
            errno.EACCES,
            "the AppArmor profile docker-default is on this process",
        ),
        ({"proc/self/attr/current": "unconfined\n"}, errno.EACCES, "no setting that is known"),
    ],
)
def test_the_cause_that_there_is_evidence_for_is_named(
    files: dict[str, str], code: int, start: str, tmp_path: Path
):
    assert namespace_remedy("clone", code, machine(tmp_path, files)).startswith(start)


def test_settings_for_ordinary_users_are_no_cause_where_the_user_is_root(tmp_path: Path):
    files = {**RESTRICTED, "proc/sys/kernel/unprivileged_userns_clone": "0\n"}

    remedy = namespace_remedy("clone", errno.EPERM, machine(tmp_path, files, is_root=True))

    assert remedy.startswith("no setting that is known to forbid it is on")


def test_a_kernel_without_user_namespaces_is_named(tmp_path: Path):
    bare = Machine(root=str(tmp_path), is_root=True, python="/opt/python")

    remedy = remedy_for("clone", errno.EINVAL, bare)

    assert remedy == (
        "user namespaces cannot be made here; "
        "this kernel has no user namespaces: use one built with CONFIG_USER_NS=y"
    )


def test_a_covered_proc_is_named_where_the_tree_cannot_be_built(tmp_path: Path):
    line = "99 98 0:20 / {} rw - tmpfs tmpfs rw\n"
    harmless = line.format("/proc/sys/fs/binfmt_misc")
    files = {"proc/self/mountinfo": line.format("/proc") + harmless + line.format("/proc/kcore")}

    remedy = namespace_remedy("new-root", errno.EPERM, machine(tmp_path, files))

    assert remedy.startswith("parts of /proc are covered here (/proc/kcore)")


@pytest.mark.parametrize("layer", ["landlock", "seccomp", "cgroup-namespace", "uts-namespace"])
def test_the_remedy_for_a_layer_that_can_be_waived_says_how(layer: str):
    end = f"to go on without it: Policy(waive={{{layer!r}}}), or --waive {layer}"

    assert remedy_for(layer, errno.ENOSYS).endswith(end)


@pytest.mark.parametrize("step", ["clone", "setup", "landlock", "new-root", "cgroup"])
@pytest.mark.parametrize(
    "code, remedy",
    [
        (errno.EMFILE, "raise the limit on open files (ulimit -n;"),
        (errno.ENFILE, "as root raise fs.file-max (sysctl)"),
        (errno.ENOMEM, "raise the limit on memory (ulimit -v;"),
        (errno.EAGAIN, "raise the limit on processes (ulimit -u;"),
    ],
)
def test_what_has_run_out_is_named_and_no_layer_is_said_to_be_missing(
    step: str, code: int, remedy: str
):
    error = explain_failure(step, code, "so it is")

    assert type(error) is SetupError
    assert (error.step, error.errno) == (step, code)
    assert remedy in str(error)
    assert "waive" not in str(error)


def test_an_errno_that_says_nothing_of_a_missing_layer_is_no_reason_to_waive_it():
    assert remedy_for("landlock", errno.EIO) == (
        "the step landlock failed; nothing says that this machine does not have it"
    )


def test_a_refusal_is_unsupported_and_anything_else_a_failed_step():
    refused = explain_failure("new-root", errno.EPERM, "no")
    failed = explain_failure("new-root", errno.EIO, "broken")

    assert isinstance(refused, UnsupportedError)
    assert refused.missing == ("new-root",)
    assert isinstance(failed, SetupError)
    assert (failed.step, failed.errno) == ("new-root", errno.EIO)
