"""Our own conduct: it fails closed, nothing from inside lowers a protection, nothing is left, work gets done."""

import dataclasses
import errno
import importlib.util
import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import protocell
from protocell import Policy, Sandbox
from protocell._layers import NEVER_WAIVED
from protocell.errors import FileError, PolicyError, UnsupportedError
from tests.escape import hosts
from tests.escape.conftest import Inside, program
from tests.escape.everyday import EVERYDAY
from tests.kernel.children import eventually

# A host under a filter that answers one system call with an errno, as a container's profile or an old kernel does.
_UNDER_A_FILTER = """
from protocell.errors import ProtocellError, UnsupportedError
from protocell_guest.kernel import _libc, bpf, seccomp, syscalls

def refuse(name, code, *, flags=0):
    lines = bpf.Assembler()
    lines.load(bpf.NUMBER)
    lines.branch(bpf.JEQ, syscalls.numbers(_libc.machine())[name], no="allow")
    if flags:
        lines.load(bpf.LOW[0])
        lines.branch(bpf.JSET, flags, no="allow")
    lines.give(0x00050000 | code)  # SECCOMP_RET_ERRNO
    lines.label("allow")
    lines.give(seccomp.ALLOW)
    _libc.prctl(38, 1)  # PR_SET_NO_NEW_PRIVS
    seccomp.install(bpf.encode(lines.assemble()))

def outcome(policy, code="6 * 7"):
    try:
        execution = protocell.run_code(code, policy=policy)
    except UnsupportedError as error:
        return ["unsupported", list(error.missing), str(error)]
    except ProtocellError as error:
        return ["error", [], f"{type(error).__name__}: {error}"]
    return [execution.text, list(execution.enforced), execution.reason]
"""


def under_a_filter(code: str) -> Any:
    """Run a host program that can put itself under a filter."""
    return hosts.told(_UNDER_A_FILTER + code)


# -- a missing protection ---------------------------------------------------------------------------


@pytest.mark.claim("conduct.fails-closed")
@pytest.mark.parametrize("name", ["EMFILE", "ENFILE", "ENOMEM", "EAGAIN", "ENOSPC"])
def test_an_error_that_will_pass_drops_no_layer_that_is_waived(name: str) -> None:
    kind, _, text = under_a_filter(
        f"""
refuse("landlock_create_ruleset", {getattr(errno, name)})
tell(outcome(Policy(waive=["landlock"])))
"""
    )

    assert (kind, text.partition(":")[0]) == ("error", "SetupError")
    assert f"landlock ({name}: " in text or f"landlock failed ({name}: " in text
    assert "waive" not in text
    assert "5.13" not in text


@pytest.mark.claim("conduct.fails-closed")
def test_want_of_memory_does_not_turn_the_cgroup_into_a_watch() -> None:
    kind, _, text = under_a_filter(
        f"""
refuse("mkdir", {errno.ENOMEM})
tell(outcome(Policy()))
"""
    )

    assert (kind, text.partition(":")[0]) == ("error", "SetupError")
    assert text.endswith(
        "there is no memory left: end something, or raise the limit on memory (ulimit -v; that of "
        "the container or the systemd unit, MemoryMax=)"
    )


@pytest.mark.claim("conduct.fails-closed")
@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_landlock_nothing_runs_unless_it_is_waived_by_name(code: int) -> None:
    refused, waived = under_a_filter(
        f"""
refuse("landlock_create_ruleset", {code})
tell([outcome(Policy()), outcome(Policy(waive=["landlock"]))])
"""
    )

    assert refused[:2] == ["unsupported", ["landlock"]]
    assert "Policy(waive={'landlock'})" in refused[2]
    assert waived[0] == "42"
    assert "landlock" not in waived[1]
    assert {"seccomp", "new-root", "user-namespace", "rlimits"} <= set(waived[1])


@pytest.mark.claim("conduct.fails-closed")
@pytest.mark.parametrize(
    "call, code, flags, missing",
    [
        ("clone", errno.EPERM, 0x10000000, "user-namespace"),
        ("mount", errno.EPERM, 0, "user-namespace mount-namespace new-root"),
        ("pivot_root", errno.EPERM, 0, "user-namespace mount-namespace new-root"),
        ("sethostname", errno.EPERM, 0, "uts-namespace"),
        ("landlock_restrict_self", errno.E2BIG, 0, ""),
        ("capset", errno.EPERM, 0, ""),
        ("open_tree", errno.ENOSYS, 0, ""),
        ("mount_setattr", errno.ENOSYS, 0, ""),
    ],
)
def test_whatever_the_kernel_refuses_nothing_runs_and_the_error_says_what(
    call: str, code: int, flags: int, missing: str
) -> None:
    kind, layers, text = under_a_filter(
        f"""
refuse({call!r}, {code}, flags={flags})
tell(outcome(Policy(), "open('ran', 'w')"))
"""
    )

    assert kind in {"unsupported", "error"}, text
    assert not missing or set(layers) <= set(missing.split()), text
    assert errno.errorcode[code] in text
    assert len(text) > 40


@pytest.mark.claim("conduct.fails-closed")
def test_where_user_namespaces_are_used_up_the_error_names_the_setting() -> None:
    kind, layers, text = hosts.told(
        _UNDER_A_FILTER
        + _OWN_USER_NAMESPACE
        + """
def body():
    allow(0)
    return outcome(Policy())
tell(in_own_user_namespace(body))
"""
    )

    assert (kind, layers) == ("unsupported", ["user-namespace"])
    assert "max_user_namespaces" in text


# A host in a user namespace of its own: there it may lower the number of user namespaces, as an administrator would.
_OWN_USER_NAMESPACE = """
def in_own_user_namespace(body):
    import warnings
    warnings.simplefilter("ignore")
    to_parent, to_child, answer = os.pipe(), os.pipe(), os.pipe()
    ids = [(os.getuid(), "uid"), (os.getgid(), "gid")]
    pid = os.fork()
    if pid == 0:
        try:
            _libc.syscall(syscalls.numbers(_libc.machine())["unshare"], 0x10000000)
            os.write(to_parent[1], b"!")
            os.read(to_child[0], 1)
            os.write(answer[1], json.dumps(body()).encode())
        except BaseException:
            import traceback
            traceback.print_exc()
        protocell._boxes.zygote.ZYGOTES.close()
        os._exit(0)
    os.close(answer[1])
    os.read(to_parent[0], 1)
    if ids[0][0]:
        open(f"/proc/{pid}/setgroups", "w").write("deny")
    for number, kind in ids:
        # All of them for root, itself for an ordinary user: as it was outside.
        text = f"{number} {number} 1" if ids[0][0] else "0 0 4294967295"
        open(f"/proc/{pid}/{kind}_map", "w").write(text)
    os.write(to_child[1], b"!")
    value = open(answer[0]).read()
    os.waitpid(pid, 0)
    return json.loads(value)

def allow(count):
    open("/proc/sys/user/max_user_namespaces", "w").write(str(count))
"""


@pytest.mark.claim("conduct.probed-for-each-sandbox")
def test_a_kernel_that_changes_its_mind_is_noticed_by_the_next_sandbox_and_not_remembered() -> None:
    found = hosts.told(
        _UNDER_A_FILTER
        + _OWN_USER_NAMESPACE
        + """
import time
def body():
    policy = Policy(environment=Environment(ready=0))
    first = outcome(policy)
    allow(0)
    second = outcome(policy)
    third = outcome(Policy(environment=Environment(ready=0), limits=Limits(processes=9)))
    allow(1000)
    return [first[0], second, third[0], outcome(policy)[0]]
tell(in_own_user_namespace(body))
"""
    )

    assert found[0] == "42"
    assert found[1][:2] == ["unsupported", ["user-namespace"]]
    assert found[2:] == ["unsupported", "42"]


@pytest.mark.claim("conduct.probed-for-each-sandbox")
def test_a_host_that_forks_asks_anew() -> None:
    found = under_a_filter(
        """
import warnings
warnings.simplefilter("ignore")
policy = Policy(environment=Environment(ready=0))
parent = outcome(policy)[0]
reader, writer = os.pipe()
pid = os.fork()
if pid == 0:
    refuse("landlock_create_ruleset", 38)
    os.write(writer, json.dumps(outcome(policy)).encode())
    protocell._boxes.zygote.ZYGOTES.close()
    os._exit(0)
os.close(writer)
child = json.loads(open(reader).read())
os.waitpid(pid, 0)
tell([parent, child, outcome(policy)[0]])
"""
    )

    parent, child, again = found
    assert (parent, again) == ("42", "42")
    assert child[:2] == ["unsupported", ["landlock"]]


@pytest.mark.twin("conduct.fails-closed", "conduct.probed-for-each-sandbox")
def test_with_everything_there_it_runs_and_says_what_was_enforced() -> None:
    execution = protocell.run_code("6 * 7", policy=Policy(require=["landlock", "seccomp"]))

    assert execution.text == "42"
    assert {"landlock", "seccomp", "user-namespace", "network-namespace", "new-root"} <= set(
        execution.enforced
    )


@pytest.mark.claim("conduct.fails-closed")
@pytest.mark.parametrize("layer", sorted(NEVER_WAIVED))
def test_what_the_sandbox_is_made_of_cannot_be_waived(layer: str) -> None:
    with pytest.raises(PolicyError, match="cannot be waived"):
        Policy(waive=[layer])


@pytest.mark.claim("conduct.fails-closed")
def test_a_required_layer_that_is_not_there_is_an_error() -> None:
    execution = protocell.run_code("1")
    other = {"cgroup-v1", "cgroup-v2", "memory-watch"} - set(execution.enforced)

    with pytest.raises(UnsupportedError) as raised:
        protocell.run_code("1", policy=Policy(require=sorted(other)[:1]))
    assert raised.value.missing == tuple(sorted(other)[:1])


@pytest.mark.claim("conduct.fails-closed")
def test_what_is_said_to_be_enforced_is_what_the_kernel_says(inside: Inside) -> None:
    found = inside(
        """
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        links = [os.readlink(f"/proc/self/ns/{kind}") for kind in ("user", "pid", "mnt", "net", "ipc", "uts", "cgroup")]
        tell([int(status["Seccomp"]), int(status["NoNewPrivs"]), int(status["CapBnd"], 16), links])
        """
    )

    own = [
        os.readlink(f"/proc/self/ns/{kind}")
        for kind in ("user", "pid", "mnt", "net", "ipc", "uts", "cgroup")
    ]
    assert found[:3] == [2, 1, 0]
    assert [one for one, other in zip(found[3], own, strict=True) if one == other] == []


# -- what the model controls --------------------------------------------------------------------------


@pytest.mark.claim("conduct.no-field-lowers-a-protection")
@pytest.mark.parametrize(
    "code",
    [
        """
#!/usr/bin/env -S protocell --waive seccomp
# protocell: waive=landlock
# policy: {'isolation': 'process'}
6 * 7
""",
        "__protocell__ = {'policy': {'waive': ['seccomp'], 'isolation': 'process'}}\n6 * 7",
        """
import os
os.environ.update(PROTOCELL_ISOLATION='process', PROTOCELL_WAIVE='seccomp', PROTOCELL_MUST_WORK='')
6 * 7
""",
        """
open('protocell.toml', 'w').write('waive = ["seccomp"]'); open('.protocell', 'w').write('x')
open('pyproject.toml', 'w').write('[tool.protocell]\\nwaive=["seccomp"]')
6 * 7
""",
        """
import sys
for name in ('sitecustomize.py', 'usercustomize.py', 'protocell.py', 'protocell_guest.py'):
    open(name, 'w').write('raise SystemExit(9)')
6 * 7
""",
    ],
)
def test_nothing_that_code_says_or_writes_changes_what_is_enforced(code: str) -> None:
    honest = protocell.run_code("6 * 7")
    with Sandbox() as sandbox:
        executions = [sandbox.run_code(code), sandbox.run_code("6 * 7")]
    executions.append(protocell.run_code("6 * 7"))

    assert [execution.enforced for execution in executions] == [honest.enforced] * 3
    assert [execution.text for execution in executions] == ["42"] * 3


@pytest.mark.claim("conduct.no-field-lowers-a-protection")
@pytest.mark.parametrize(
    "name",
    [
        "../x",
        "/etc/passwd",
        "/home/user/../../etc/x",
        "a/../../x",
        "..",
        "/tmp/x",
        "/proc/self/mem",
        "~/x/../../y",
        "a\0b",
        "/home/userx",
        "/home/user",
    ],
)
def test_no_file_name_widens_a_path(name: str) -> None:
    with Sandbox() as sandbox:
        for use in (
            sandbox.files.read,
            sandbox.files.list,
            lambda path: sandbox.files.write(path, b"x"),
        ):
            if name == "/home/user" and use == sandbox.files.list:
                continue  # the workspace itself
            with pytest.raises(FileError):
                use(name)


@pytest.mark.claim("conduct.no-field-lowers-a-protection")
def test_a_policy_cannot_be_changed_after_it_was_made() -> None:
    waive = ["landlock"]
    policy = Policy(waive=waive, envs={"A": "1"})
    waive.append("seccomp")

    assert policy.waive == {"landlock"}
    with pytest.raises(dataclasses.FrozenInstanceError):
        policy.waive = frozenset({"seccomp"})  # type: ignore[misc]
    with pytest.raises(TypeError):
        policy.envs["LD_PRELOAD"] = "x"  # type: ignore[index]
    with pytest.raises(PolicyError):
        Policy.from_dict({"waive": ["everything"]})
    with pytest.raises(PolicyError):
        Policy.from_dict({"sandbox": False})


@pytest.mark.claim("conduct.no-field-lowers-a-protection")
def test_variables_of_the_host_change_no_protection(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = protocell.run_code("1").enforced
    found = hosts.told(
        """
        for name in ("ISOLATION", "WAIVE", "UNSAFE", "DEBUG", "DISABLE", "NO_SANDBOX", "POLICY"):
            os.environ[f"PROTOCELL_{name}"] = "1"
        tell(list(protocell.run_code("1").enforced))
        """
    )

    assert tuple(found) == honest


# -- nothing left after kill -9 -----------------------------------------------------------------------

_DAEMONS = program(
    """
    import signal
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork(): os._exit(0)
            for number in range(1, 65):
                try: signal.signal(number, signal.SIG_IGN)
                except (OSError, ValueError): pass
            while True: signal.pause()
        os.wait()
    open("file", "wb").write(b"x" * 4096)
    tell(1)
    """
)


def _tree(roots: set[int]) -> set[int]:
    """Return these processes and all that descend from them."""
    found = set(roots)
    while True:
        more = {pid for pid, parent in _parents() if parent in found} - found
        if not more:
            return found
        found |= more


def _parents() -> list[tuple[int, int]]:
    found = []
    # Not a pattern: looking for what ends meanwhile raises in pathlib itself.
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            told = Path("/proc", name, "stat").read_text(errors="replace")
            found.append((int(name), int(told.rpartition(")")[2].split()[1])))
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended since the listing
    return found


def _alive(pids: dict[int, str]) -> list[int]:
    """Return those that still run; a number that went to another process is none of them."""
    return [pid for pid, started in pids.items() if _started(pid) == started]


def _started(pid: int) -> str | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def _groups(zygote: int) -> list[str]:
    return [str(path) for path in Path("/sys/fs/cgroup").glob(f"**/protocell-{zygote}-*")]


@pytest.mark.claim("conduct.nothing-left")
@pytest.mark.parametrize("doing", ["idle", "running"])
def test_nothing_is_left_after_kill_9_of_the_host(doing: str) -> None:
    mounts = Path("/proc/self/mountinfo").read_text()
    with hosts.start(
        f"""
        import threading
        from protocell._boxes.zygotes import ZYGOTES
        boxes = [Sandbox() for _ in range(3)]
        for box in boxes: assert box.run_code({_DAEMONS!r}).status == "ok"
        if {doing == "running"}:
            started = threading.Event()
            threading.Thread(target=boxes[0].run_code, args=("print(1, flush=True)\\nwhile True: pass",),
                             kwargs={{"on_stdout": lambda _: started.set(), "timeout": 60}}, daemon=True).start()
            started.wait(20)
        tell(ZYGOTES.get(Environment()).pid)
        threading.Event().wait()
        """
    ) as host:
        zygote = hosts.first_told(host)
        everybody = {pid: _started(pid) or "" for pid in _tree({host.pid})}
        assert len(everybody) >= 1 + 1 + 3 * (
            2 + 3
        )  # host, zygote, and init, code and daemons three times
        host.kill()
        host.wait()
        host.communicate()

    assert eventually(lambda: not _alive(everybody)), _alive(everybody)
    assert eventually(lambda: not _groups(zygote)), _groups(zygote)
    assert Path("/proc/self/mountinfo").read_text() == mounts


@pytest.mark.claim("conduct.nothing-left")
def test_nothing_is_left_when_the_host_is_killed_while_sandboxes_are_made() -> None:
    everybody: dict[int, str] = {}
    for _ in range(5):
        with hosts.start(
            """
            import threading
            threading.Thread(target=protocell.run_code, args=("1",)).start()
            tell(1)
            while True: protocell.run_code("1")
            """
        ) as host:
            hosts.first_told(host)
            everybody |= {pid: _started(pid) or "" for pid in _tree({host.pid})}
            host.kill()
            host.communicate()

    assert eventually(lambda: not _alive(everybody)), _alive(everybody)
    assert eventually(lambda: not [path for pid in everybody for path in _groups(pid)])


@pytest.mark.claim("conduct.nothing-left")
@pytest.mark.parametrize("victim", ["init", "zygote"])
def test_when_init_or_the_zygote_is_killed_the_sandbox_says_so_and_nothing_is_left(
    victim: str,
) -> None:
    kind, pids, again = hosts.told(
        f"""
        import signal, threading
        from protocell._boxes.zygotes import ZYGOTES
        from protocell.errors import SandboxDiedError
        zygote = ZYGOTES.get(Environment(ready=0))
        policy = Policy(environment=Environment(ready=0))
        def children(pid):
            return [int(p) for p in open(f"/proc/{{pid}}/task/{{pid}}/children").read().split()]
        with Sandbox(policy) as box:
            box.run_code({_DAEMONS!r})
            # The zygote's children are a janitor and the sandbox; only the latter has children.
            init = next(p for p in children(zygote.pid) if children(p))
            inside = children(init)
            os.kill(init if {victim!r} == "init" else zygote.pid, signal.SIGKILL)
            try:
                kind = box.run_code("import signal; signal.pause()", timeout=20).status
            except SandboxDiedError:
                kind = "SandboxDiedError"
        tell([kind, inside, protocell.run_code("6 * 7", policy=policy).text])
        """
    )

    assert kind in {"SandboxDiedError", "killed"}
    assert len(pids) == 4
    assert again == "42"
    assert eventually(lambda: [pid for pid in pids if _started(pid) is not None] == [])


@pytest.mark.twin("conduct.nothing-left")
def test_a_sandbox_that_is_used_lives_as_long_as_its_host() -> None:
    with Sandbox() as sandbox:
        sandbox.run_code("x = 41")
        threading.Event().wait(0.2)
        assert sandbox.run_code("x + 1").text == "42"


# -- who we are ---------------------------------------------------------------------------------------


@pytest.mark.claim("conduct.root-and-user")
def test_inside_it_is_the_same_for_root_and_for_an_ordinary_user(inside: Inside) -> None:
    found = inside(
        """
        import getpass, pwd
        tell([os.getuid(), os.getgid(), os.getgroups(), getpass.getuser(), os.getcwd(), os.path.expanduser("~"),
              pwd.getpwuid(os.getuid()).pw_dir, os.stat(".").st_uid, os.access("/home/user", os.W_OK)])
        """
    )

    assert found[:2] == [1000, 1000]
    assert set(found[2]) <= {1000, 65534}
    assert found[3:] == ["user", "/home/user", "/home/user", "/home/user", 1000, True]


@pytest.mark.claim("conduct.root-and-user")
def test_the_code_is_nobody_of_the_host_and_never_root() -> None:
    with Sandbox() as sandbox:
        sandbox.run_code("open('mine', 'w').write('x')")
        box = sandbox.context.core._place.box  # type: ignore[union-attr]
        owner = os.stat("mine", dir_fd=box.workspace).st_uid

    assert owner != 0
    assert owner == os.getuid() or os.getuid() == 0


# -- what agents write every day ----------------------------------------------------------------------

_PACKAGES = {"numpy", "pandas", "openpyxl", "lxml", "PIL", "matplotlib", "pytest"}


@pytest.mark.claim("conduct.everyday-code-runs")
@pytest.mark.parametrize("name", EVERYDAY)
def test_what_agents_write_every_day_runs(name: str) -> None:
    if name in _PACKAGES and importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed in {sys.prefix}")

    execution = protocell.run_code(EVERYDAY[name], timeout=60)

    assert (execution.status, execution.text) == ("ok", "True"), (
        execution.reason
        + "\n"
        + (execution.error.traceback if execution.error else "")
        + "".join(execution.logs.stderr)
    )
