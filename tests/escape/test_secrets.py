"""Attacks on secrets: what a warm template could carry from the host, or from one sandbox to the next."""

import json
import os
import secrets
import subprocess
import sys
import textwrap
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import protocell
from protocell import Environment, Mount, Policy, Sandbox
from protocell._boxes.zygotes import ZYGOTES
from tests.escape.conftest import Inside, program, told
from tests.escape.hosts import told as host_told

# Made anew each time: what a sandbox shows then was in the zygote, not left over from being kept ready.
COLD = Environment(ready=0)

# The pattern does not match itself, so the program's own text is not among what it finds.
_SCAN = """
    import re
    PATTERN = re.compile(rb"pcsecret[0-9a-f]{24}")
    def scan():
        found = set()
        with open("/proc/self/mem", "rb", buffering=0) as memory:
            for line in open("/proc/self/maps").readlines():
                span, rights = line.split()[:2]
                start, end = (int(number, 16) for number in span.split("-"))
                if "r" not in rights or "[v" in line:
                    continue
                while start < end:
                    try:
                        memory.seek(start)
                        block = memory.read(min(end - start, 1 << 20))
                    except OSError:
                        break
                    if not block:
                        break
                    found.update(match.decode() for match in PATTERN.findall(block))
                    start += len(block) if len(block) < 64 or start + len(block) >= end else len(block) - 63
        return sorted(found)
    """


def new_secret() -> str:
    """Return a text that the scan recognises and that is nowhere else."""
    return f"pcsecret{secrets.token_hex(12)}"


@pytest.fixture
def host_secret(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Put a secret into the host's environment and memory before any zygote is started."""
    secret = new_secret()
    monkeypatch.setenv("PROTOCELL_TEST_TOKEN", secret)
    kept = [secret, secret.encode(), {"key": secret}]
    ZYGOTES.close()
    yield secret
    del kept
    ZYGOTES.close()


# -- what the host holds -----------------------------------------------------------------------------------


@pytest.mark.claim("secrets.clean-environment")
def test_the_environment_is_the_sandboxs_own(inside: Inside, host_secret: str) -> None:
    found = inside(
        """
        import subprocess
        libc.getenv.restype = ctypes.c_char_p
        initial = open("/proc/self/environ", "rb").read().decode()
        child = subprocess.run(["/usr/bin/env"], capture_output=True, text=True).stdout
        tell([sorted(os.environ), initial, child, str(libc.getenv(b"PROTOCELL_TEST_TOKEN")), dict(os.environ)])
        """
    )

    names, initial, child, value, environment = found
    allowed = {
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "LANG",
        "LC_CTYPE",
        "TZ",
        "MPLBACKEND",
        "MPLCONFIGDIR",
        "PIP_RETRIES",
        "PIP_DISABLE_PIP_VERSION_CHECK",
    }
    assert {name for name in names if not name.endswith("_NUM_THREADS")} <= allowed
    assert "PROTOCELL" not in initial + child
    assert host_secret not in initial + child + str(environment)
    assert value == "None"
    assert environment["HOME"] == "/home/user"


@pytest.mark.twin("secrets.clean-environment")
def test_variables_that_the_policy_gives_are_there(inside: Inside) -> None:
    found = inside(
        """
        import subprocess
        child = subprocess.run(["/bin/sh", "-c", "echo $GIVEN"], capture_output=True, text=True)
        tell([os.environ["GIVEN"], child.stdout])
        """,
        policy=Policy(envs={"GIVEN": "value"}),
    )

    assert found == ["value", "value\n"]


@pytest.mark.claim("secrets.clean-memory")
def test_secrets_of_the_host_are_not_in_memory(inside: Inside, host_secret: str) -> None:
    assert inside(_SCAN + "\n    tell(scan())") == []


@pytest.mark.twin("secrets.clean-memory")
def test_the_scan_finds_what_is_in_memory(inside: Inside) -> None:
    found = inside(
        f"""{_SCAN}
    kept = ["pcsecret" + os.urandom(12).hex(), b"pcsecret" + os.urandom(12).hex().encode()]
    tell([kept[0] in scan(), kept[1].decode() in scan()])
    """
    )

    assert found == [True, True]


@pytest.mark.twin("secrets.clean-memory")
@pytest.mark.twin("secrets.no-secrets-of-other-sandboxes")
def test_the_scan_finds_a_secret_that_this_sandbox_was_given(inside: Inside) -> None:
    given = new_secret()
    policy = Policy(envs={"TOKEN": given}, environment=COLD)

    assert given in inside(_SCAN + "\n    tell(scan())", policy=policy)


@pytest.mark.claim("secrets.no-secrets-of-other-sandboxes")
def test_variables_given_to_one_sandbox_are_not_in_the_memory_of_the_next(inside: Inside) -> None:
    given = [new_secret() for _ in range(100)]
    # Of many sizes: which block of freed memory is used again, and which is not, is chance.
    envs = {f"TOKEN_{place}": token + "x" * 10 * place for place, token in enumerate(given)}
    assert inside("tell(1)", policy=Policy(envs=envs, environment=COLD)) == 1

    found = inside(_SCAN + "\n    tell(scan())", policy=Policy(environment=COLD))
    assert not set(given) & set(found)


@pytest.mark.claim("secrets.no-secrets-of-other-sandboxes")
def test_names_of_folders_mounted_into_one_sandbox_are_not_in_the_memory_of_the_next(
    inside: Inside, tmp_path: Path
) -> None:
    name = new_secret()
    folder = tmp_path / name
    folder.mkdir()
    policy = Policy(mounts=[Mount(source=folder, target="/data")], environment=COLD)
    assert inside("tell(os.listdir('/data'))", policy=policy) == []

    assert name not in inside(_SCAN + "\n    tell(scan())", policy=Policy(environment=COLD))


@pytest.mark.claim("secrets.no-secrets-of-other-sandboxes")
def test_code_output_and_files_of_one_sandbox_are_not_in_the_memory_of_the_next(
    inside: Inside,
) -> None:
    token = new_secret()
    files = {f"{token}.txt": token}
    code = f"print({token!r}); x = [{token!r}]; open('out', 'w').write(x[0]); tell(1)"
    assert inside(code, policy=Policy(environment=COLD), files=files) == 1

    assert token not in inside(_SCAN + "\n    tell(scan())", policy=Policy(environment=COLD))


_OBJECTS = """
import gc, io, socket, types
seen, queue = set(), [*gc.get_objects(), *sys.modules.values(), *sys._current_frames().values()]
texts, descriptors = [], set()
frame = sys._getframe()
while frame is not None:
    queue += [frame.f_locals, frame.f_globals]
    frame = frame.f_back
while queue:
    thing = queue.pop()
    if id(thing) in seen:
        continue
    seen.add(id(thing))
    if isinstance(thing, str) and thing.startswith("pcsecret") and len(thing) == 32:
        texts.append(thing)
    if isinstance(thing, (socket.socket, io.FileIO)):
        try:
            descriptors.add(thing.fileno())
        except (ValueError, OSError):
            pass
    queue += gc.get_referents(thing)
open_ones = sorted(number for number in descriptors if not isinstance(attempt(os.fstat, number), str))
"""


@pytest.mark.claim("secrets.clean-objects")
def test_no_object_inside_holds_a_secret_or_a_live_descriptor_of_the_host(
    inside: Inside, host_secret: str
) -> None:
    found = inside(_OBJECTS + "tell([texts, open_ones, len(seen) > 10_000])")

    assert found == [[], [0, 1, 2, 3], True]


@pytest.mark.twin("secrets.clean-objects")
def test_the_search_finds_a_text_and_a_descriptor_of_the_codes_own(inside: Inside) -> None:
    own = "kept = [{'deep': ('pcsecret' + 'x' * 24, open('/dev/null', 'rb', 0))}]\n"

    found = inside(own + _OBJECTS + "tell([texts, open_ones, kept[0]['deep'][1].fileno()])")

    assert found == [["pcsecret" + "x" * 24], [0, 1, 2, 3, found[2]], found[2]]


@pytest.mark.claim("secrets.empty-stdin")
def test_standard_input_is_empty_and_not_the_hosts() -> None:
    host = """
        import sys, protocell
        read = "import os, sys; print([sys.stdin.read(), os.read(0, 9), os.readlink('/proc/self/fd/0')])"
        ask = "try:\\n    input()\\nexcept EOFError:\\n    print('end of file')"
        print("".join(protocell.run_code(read).logs.stdout + protocell.run_code(ask).logs.stdout), end="")
        print(sys.stdin.read(), end="")
        """
    done = subprocess.run(
        [sys.executable, "-c", "if True:" + host],
        input="the host's input",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout == "['', b'', '/dev/null']\nend of file\nthe host's input"


@pytest.mark.twin("secrets.empty-stdin")
def test_a_process_of_the_codes_own_reads_what_it_is_given(inside: Inside) -> None:
    found = inside(
        """
        import subprocess
        tell(subprocess.run(["/bin/cat"], input="given", capture_output=True, text=True).stdout)
        """
    )

    assert found == "given"


# -- the template ------------------------------------------------------------------------------------------


@pytest.mark.claim("template.no-inherited-descriptors")
def test_descriptors_that_the_host_left_inheritable_are_not_inside(
    inside: Inside, tmp_path: Path
) -> None:
    path = tmp_path / "secret"
    path.write_text("the host's secret")
    ZYGOTES.close()
    descriptors = [os.open(path, os.O_RDONLY), os.open(tmp_path, os.O_RDONLY), *os.pipe()]
    try:
        for descriptor in descriptors:
            os.dup2(descriptor, descriptor, inheritable=True)
        found = inside(
            """
            tell([[number for number in range(4096) if not isinstance(attempt(os.fstat, number), str)],
                  sorted(map(int, os.listdir("/proc/self/fd")))[:-1],
                  [attempt(os.listdir, f"/proc/self/fd/{number}/..") for number in range(4)]])
            """
        )
    finally:
        for descriptor in descriptors:
            os.close(descriptor)

    assert found == [[0, 1, 2, 3], [0, 1, 2, 3], ["ENOTDIR"] * 4]


ODD_HOST = """
import signal, subprocess
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGCHLD, signal.SIGRTMIN):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_SETMASK, [signal.SIGUSR1, signal.SIGALRM, signal.SIGCHLD])
os.umask(0o777)
"""
STATE = """
import os, subprocess, sys
mask = os.umask(0)
os.umask(mask)
# Without 32 and 33, which posix_spawn of the C library ignores in whatever it starts.
show = "print([hex(int(line.split()[1], 16) & ~(3 << 31))"
show += " for line in open('/proc/self/status') if line[:6] in ('SigBlk', 'SigIgn')])"
print(mask, subprocess.run([sys.executable, "-I", "-c", show], stdout=subprocess.PIPE, text=True).stdout)
"""
# SIGPIPE and SIGXFSZ, which every CPython ignores.
PLAIN_STATE = "['0x0', '0x1001000']"


@pytest.mark.claim("template.no-inherited-state")
@pytest.mark.parametrize("isolation, mask", [("kernel", 0o022), ("process", 0o077)])
def test_signals_and_the_mask_of_an_odd_host_are_not_inside(isolation: str, mask: int) -> None:
    """As under nohup, or in a shell's background job; a mask of 077 is common on servers."""
    found = host_told(
        f"""
        {textwrap.indent(ODD_HOST, " " * 8).strip()}
        policy = Policy(isolation={isolation!r})
        found = protocell.run_code({STATE!r}, policy=policy)
        tell([found.status, found.reason, "".join(found.logs.stdout).strip()])
        """
    )

    assert found == ["ok", found[1], f"{mask} {PLAIN_STATE}"]


@pytest.mark.twin("template.no-inherited-state")
def test_what_an_odd_host_sets_does_reach_what_it_starts_itself() -> None:
    found = host_told(
        f"""
        {textwrap.indent(ODD_HOST, " " * 8).strip()}
        tell(subprocess.run([sys.executable, "-I", "-c", {STATE!r}], capture_output=True, text=True).stdout)
        """
    )

    assert found.strip().startswith("511 ")
    assert PLAIN_STATE not in found


@pytest.mark.claim("template.confinement-is-anew")
def test_two_sandboxes_of_one_zygote_share_no_namespace() -> None:
    names = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"]
    code = program(f"tell([os.readlink('/proc/self/ns/' + name) for name in {names!r}])")
    with Sandbox() as one, Sandbox() as other:
        ours = [os.readlink(f"/proc/self/ns/{name}") for name in names]
        first, second = told(one.run_code(code)), told(other.run_code(code))

    assert not set(first) & set(second)
    assert not set(ours) & set(first + second)


@pytest.mark.claim("template.confinement-is-anew")
def test_a_second_context_of_one_sandbox_is_confined_like_the_first() -> None:
    code = program(
        """
        fields = ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters")
        lines = open("/proc/self/status").read().splitlines()
        tell([line for line in lines if line.startswith(fields)] + [attempt(call, "unshare", 0x10000000)])
        """
    )
    with Sandbox() as sandbox:
        first = told(sandbox.run_code(code))
        sandbox.run_code("import os; os._exit(1)")
        second = told(sandbox.run_code(code))

    assert first == second
    assert first[-1] == "EPERM"
    assert "NoNewPrivs:\t1" in first
    assert "Seccomp:\t2" in first


@pytest.mark.claim("template.hash-seeds")
def test_hash_seeds_are_random_and_a_new_zygote_has_another(inside: Inside) -> None:
    """Forks of one zygote share the seed and the memory layout, as SECURITY.md says: who must not, needs its own."""
    code = "tell([hash('protocell'), sys.flags.hash_randomization])"
    first = inside(code)
    ZYGOTES.close()
    second = inside(code)

    assert first[1] == second[1] == 1
    assert first[0] != second[0]


# -- randomness --------------------------------------------------------------------------------------------

# Preloaded, it uses every generator before the fork, so that each has a state that all forks would share.
_USED_BEFORE = """
import random, secrets, ssl, tempfile, uuid
random.random(); secrets.token_hex(); ssl.RAND_bytes(8); uuid.uuid4(); uuid.uuid1(); uuid.getnode()
tempfile.mktemp(); next(tempfile._get_candidate_names())
shared = random.Random()
"""

DRAWS = {
    "random": "import random; tell([random.random(), random.getrandbits(64), random.sample(range(10**6), 3)])",
    "secrets": "import secrets; tell([secrets.token_hex(16), os.urandom(16).hex(), os.getrandom(16).hex()])",
    "uuid4": "import uuid; tell(str(uuid.uuid4()))",
    "tempfile": "import tempfile; tell([tempfile.mktemp(), next(tempfile._get_candidate_names())])",
    "OpenSSL": "import ssl; tell(ssl.RAND_bytes(16).hex())",
    "salted ids": "tell([os.urandom(8).hex(), open('/dev/urandom', 'rb').read(8).hex()])",
}


def drawn_by_three(inside: Inside, draw: str, environment: Environment) -> list[Any]:
    """Return what three sandboxes, one after the other, draw."""
    policy = Policy(environment=environment)
    return [inside(draw, policy=policy) for _ in range(3)]


@pytest.fixture(scope="module")
def used_before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """Make an interpreter whose zygote has used every generator of the standard library."""
    folder = tmp_path_factory.mktemp("used")
    for place in (folder.parent, folder):
        place.chmod(0o755)
    venv.EnvBuilder(symlinks=True).create(folder / "venv")
    (packages,) = (folder / "venv/lib").glob("python*/site-packages")
    (packages / "protocell_used_before.py").write_text(_USED_BEFORE)
    environment = Environment(
        python=folder / "venv/bin/python", preload=("protocell_used_before",), ready=0
    )
    yield environment
    ZYGOTES.close()


@pytest.mark.claim("template.random-numbers-differ")
@pytest.mark.parametrize("draw", DRAWS.values(), ids=list(DRAWS))
def test_no_two_sandboxes_draw_the_same_from_a_used_generator(
    inside: Inside, used_before: Environment, draw: str
) -> None:
    first, second, third = drawn_by_three(inside, draw, used_before)

    assert first != second
    assert second != third
    assert first != third


@pytest.mark.claim("template.random-numbers-differ")
@pytest.mark.parametrize("preload", [("numpy.random",), ("numpy",), ("pandas",)], ids="".join)
def test_no_two_sandboxes_draw_the_same_from_numpy(
    inside: Inside, preload: tuple[str, ...]
) -> None:
    pytest.importorskip(preload[0])
    draw = """
        import numpy.random
        tell([float(numpy.random.random()), numpy.random.randint(0, 2**62), float(numpy.random.standard_normal()),
              float(numpy.random.default_rng().random())])
        """
    first, second, third = drawn_by_three(inside, draw, Environment(preload=preload, ready=0))

    for one, other in ((first, second), (second, third), (first, third)):
        assert [number for number in one if number in other] == []


# Our own pid is 1 there and the zygote's is 2, as in a container whose first process uses protocell. The host's
# cgroups are covered: a zygote in another pid namespace takes the owners of all groups there for dead.
_IN_A_PID_NAMESPACE = """
[ "$(id -u)" != 0 ] || mount -t tmpfs none /sys/fs/cgroup
exec unshare --pid --fork --mount-proc "$@"
"""


@pytest.mark.claim("template.random-numbers-differ")
def test_numbers_differ_although_the_zygote_has_the_pid_of_every_first_context(
    used_before: Environment,
) -> None:
    """OpenSSL and tempfile tell a fork by its pid, and the first context of every sandbox has pid 2."""
    draw = (
        "import json, os, ssl, tempfile; "
        "print(json.dumps([os.getpid(), ssl.RAND_bytes(8).hex(), next(tempfile._get_candidate_names())]))"
    )
    host = f"""if True:
        import protocell
        from protocell import Environment, Policy
        from protocell._boxes.zygotes import ZYGOTES
        environment = Environment(python={used_before.python!r}, preload={used_before.preload!r}, ready=0)
        for _ in range(2):
            print("".join(protocell.run_code({draw!r}, policy=Policy(environment=environment)).logs.stdout), end="")
        print(ZYGOTES.get(environment).pid)
        """
    user = [] if os.geteuid() == 0 else ["--user", "--map-current-user", "--keep-caps"]
    command = ["unshare", "--mount", *user, "sh", "-c", _IN_A_PID_NAMESPACE, "sh"]
    done = subprocess.run(
        [*command, sys.executable, "-c", host],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    first, second, zygote = (json.loads(line) for line in done.stdout.splitlines())

    assert zygote == first[0] == second[0] == 2
    assert first[1] != second[1]
    assert first[2] != second[2]


@pytest.mark.claim("template.random-numbers-differ")
def test_a_second_context_draws_other_numbers_than_the_first(used_before: Environment) -> None:
    draw = program(
        "import random, ssl, tempfile, uuid\n"
        "tell([random.random(), ssl.RAND_bytes(8).hex(), next(tempfile._get_candidate_names()), str(uuid.uuid4())])"
    )
    with Sandbox(Policy(environment=used_before)) as sandbox:
        first = told(sandbox.run_code(draw))
        sandbox.run_code("import os; os._exit(1)")
        second = told(sandbox.run_code(draw))

    assert not set(first) & set(second)


@pytest.mark.twin("template.random-numbers-differ")
def test_a_seed_of_ones_own_gives_the_same_numbers(inside: Inside) -> None:
    draw = "import random; random.seed(7); tell(random.random())"

    assert inside(draw) == inside(draw) == 0.32383276483316237


@pytest.mark.claim("template.no-host-address")
def test_the_hosts_hardware_address_is_not_told(inside: Inside, used_before: Environment) -> None:
    addresses = {
        int(path.read_text().strip().replace(":", "") or "0", 16)
        for path in Path("/sys/class/net").glob("*/address")
    } - {0}
    code = "import uuid; tell([uuid.getnode(), uuid.uuid1().node])"

    for policy in (Policy(), Policy(environment=used_before)):
        assert not addresses & set(inside(code, policy=policy))


@pytest.mark.claim("template.starts-clean")
def test_a_zygote_is_not_told_by_its_command_line_and_reads_nothing_of_the_host(
    inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PYTHON* variables, the working directory and the user's site-packages are ways into an interpreter."""
    (tmp_path / "json.py").write_text("raise SystemExit('planted')")
    (tmp_path / "sitecustomize.py").write_text("PLANTED = True")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "json.py"))
    monkeypatch.setenv("LD_PRELOAD", "/nowhere/planted.so")
    monkeypatch.chdir(tmp_path)
    ZYGOTES.close()
    found = inside(
        """
        tell([open("/proc/self/cmdline").read().split("\\0")[1:], sys.flags.isolated, json.__file__, sys.path,
              hasattr(sys.modules.get("sitecustomize"), "PLANTED"), sys.argv])
        """
    )
    ZYGOTES.close()

    command, isolated, file, path, planted, argv = found
    assert command == ["-I", "-", ""]
    assert (isolated, planted, argv) == (1, False, [""])
    assert str(tmp_path) not in [file, *path]
    assert "" not in path
    assert protocell.run_code("1").status == "ok"
