"""Attacks on the host's files: reading, changing, reaching what the sandbox was not given."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import protocell
from protocell import Mount, Policy
from protocell_guest.kernel import namespaces
from tests.escape.conftest import Inside


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Make a file of the host that everybody may read."""
    tmp_path.chmod(0o755)
    path = tmp_path / "secret.txt"
    path.write_text("the host's secret")
    path.chmod(0o644)
    return path


@pytest.mark.claim("files.read-outside")
def test_nothing_outside_the_view_can_be_read(inside: Inside, secret: Path) -> None:
    found = inside(
        f"""
        paths = [{str(secret)!r}, "/etc/shadow", "/root/.bashrc", "/var/log/dpkg.log", "/sys/kernel/uevent_helper",
                 "/boot", "/home/user/../../../../..{secret}", "/proc/1/root{secret}", "/proc/1/cwd"]
        def read(path):
            return open(path, "rb").read(10).decode("latin-1")
        tell([attempt(read, path) for path in paths])
        """
    )

    assert set(found) <= {"ENOENT", "EACCES", "ELOOP"}


@pytest.mark.twin("files.read-outside")
def test_a_mounted_folder_can_be_read(inside: Inside, secret: Path) -> None:
    policy = Policy(mounts=[Mount(source=secret.parent, target="/data")])

    assert inside("tell(open('/data/secret.txt').read())", policy=policy) == "the host's secret"


@pytest.mark.claim("files.read-outside")
def test_what_lies_beside_a_mounted_file_cannot_be_read(inside: Inside, secret: Path) -> None:
    (secret.parent / "given.txt").write_text("given")
    policy = Policy(mounts=[Mount(source=secret.parent / "given.txt", target="/data/one.txt")])
    found = inside(
        """
        names = ["/data/secret.txt", "/data/one.txt/../secret.txt", "/data/one.txt/secret.txt"]
        tell([os.listdir("/data"), [attempt(open, name) for name in names]])
        """,
        policy=policy,
    )

    assert found == [["one.txt"], ["ENOENT", "ENOTDIR", "ENOTDIR"]]


@pytest.mark.twin("files.read-outside")
def test_a_mounted_file_can_be_read_as_it_is_now_though_its_folder_is_closed_to_others(
    inside: Inside, secret: Path
) -> None:
    policy = Policy(mounts=[Mount(source=secret, target="/data/one.txt")])
    secret.parent.chmod(0o700)

    assert inside("tell(open('/data/one.txt').read())", policy=policy) == "the host's secret"

    secret.write_text("a longer secret of the host")

    assert inside("tell(open('/data/one.txt').read())", policy=policy) == secret.read_text()


@pytest.mark.claim("files.read-outside")
def test_a_mounted_file_that_only_its_owner_may_read_is_for_its_owner(
    inside: Inside, secret: Path
) -> None:
    policy = Policy(mounts=[Mount(source=secret, target="/data/one.txt")])
    secret.chmod(0o600)
    is_owner = namespaces.outer_ids()[0] == secret.stat().st_uid

    found = inside("tell(attempt(lambda: open('/data/one.txt').read()))", policy=policy)

    assert found == ("the host's secret" if is_owner else "EACCES")


_RUN_WITH_A_MOUNT = """
import sys
import protocell
policy = protocell.Policy(mounts=[protocell.Mount(source=sys.argv[1], target="/data/one.txt")])
try:
    protocell.run_code("1", policy=policy)
except protocell.ProtocellError as error:
    print(error)
"""


@pytest.mark.claim("files.no-host-paths")
def test_a_file_that_is_a_mount_of_its_own_is_refused_and_why(secret: Path) -> None:
    covered = secret.parent / "covered.txt"
    covered.write_text("what lies below")
    shell = 'mount --bind "$1" "$2" && exec "$3" -c "$4" "$2"'
    done = subprocess.run(
        [
            *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", shell, "sh"),
            *(str(secret), str(covered), sys.executable, _RUN_WITH_A_MOUNT),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert done.stdout.startswith(
        "cannot enforce mounts (EXDEV: [Errno 18] the file is a mount of its own): "
    ), done.stderr
    assert done.stdout.endswith("give copies of such files with files=\n")


@pytest.mark.claim("files.no-host-passwd")
def test_the_list_of_users_is_the_sandboxs_own(inside: Inside) -> None:
    lines = inside("tell(open('/etc/passwd').read().splitlines())")

    assert lines == [
        "user:x:1000:1000:user:/home/user:/bin/sh",
        "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin",
    ]


@pytest.mark.twin("files.no-host-passwd")
def test_the_code_finds_itself_in_the_list_of_users(inside: Inside) -> None:
    found = inside(
        """
        import getpass, grp, pwd
        me = pwd.getpwuid(os.getuid())
        tell([me.pw_name, me.pw_dir, grp.getgrgid(os.getgid()).gr_name, getpass.getuser()])
        """
    )

    assert found == ["user", "/home/user", "user", "user"]


@pytest.mark.claim("files.mounts-are-read-only")
def test_a_mounted_folder_cannot_be_changed(inside: Inside, secret: Path) -> None:
    policy = Policy(mounts=[Mount(source=secret.parent, target="/home/user/data")])
    found = inside(
        """
        folder = "/home/user/data/"
        tell([
            attempt(open, folder + "secret.txt", "w"),
            attempt(open, folder + "new.txt", "x"),
            attempt(os.unlink, folder + "secret.txt"),
            attempt(os.rename, folder + "secret.txt", folder + "other.txt"),
            attempt(os.chmod, folder + "secret.txt", 0o777),
            attempt(os.utime, folder + "secret.txt"),
            attempt(os.truncate, folder + "secret.txt", 0),
            attempt(os.mkdir, folder + "new"),
        ])
        """,
        policy=policy,
    )

    assert set(found) <= {"EROFS", "EACCES"}
    assert secret.read_text() == "the host's secret"
    assert os.listdir(secret.parent) == ["secret.txt"]


@pytest.mark.twin("files.mounts-are-read-only")
def test_the_workspace_beside_a_mount_can_be_changed(inside: Inside, secret: Path) -> None:
    policy = Policy(mounts=[Mount(source=secret.parent, target="/home/user/data")])
    found = inside(
        """
        import shutil
        shutil.copy("data/secret.txt", "copy.txt")
        os.rename("copy.txt", "mine.txt"); os.chmod("mine.txt", 0o600); os.mkdir("new")
        tell(sorted(os.listdir(".")))
        """,
        policy=policy,
    )

    assert found == ["data", "mine.txt", "new"]


@pytest.mark.claim("files.system-is-read-only")
def test_the_interpreter_and_the_system_cannot_be_changed(inside: Inside) -> None:
    found = inside(
        """
        import site, sysconfig
        places = [sysconfig.get_paths()["stdlib"], sysconfig.get_paths()["purelib"], os.path.dirname(sys.executable),
                  "/usr/lib", "/usr/bin", "/etc", "/", "/dev", "/home"]
        outcome = [attempt(open, os.path.join(place, "planted"), "w") for place in places if os.path.isdir(place)]
        outcome += [attempt(open, os.path.realpath(sys.executable), "r+b"), attempt(open, os.__file__, "a"),
                    attempt(open, "/proc/self/exe", "r+b")]
        tell(outcome)
        """
    )

    assert set(found) <= {"EROFS", "EACCES", "ETXTBSY"}


@pytest.mark.twin("files.system-is-read-only")
@pytest.mark.twin("files.own-tmp-and-shm")
def test_the_workspace_and_tmp_can_be_written_and_programs_run(inside: Inside) -> None:
    found = inside(
        """
        import subprocess
        for place in ("/home/user", "/tmp", "/dev/shm"):
            open(place + "/mine", "w").write("x")
        tell(subprocess.run(["/bin/sh", "-c", "cat /home/user/mine /tmp/mine /dev/shm/mine"],
                            capture_output=True, text=True).stdout)
        """
    )

    assert found == "xxx"


@pytest.mark.claim("files.no-persistence")
def test_what_is_written_to_home_and_start_up_files_is_gone_in_the_next_sandbox(
    inside: Inside,
) -> None:
    code = """
        import site
        names = [".bashrc", ".profile", ".config/x", ".local/lib/python3.11/site-packages/usercustomize.py"]
        seen = [name for name in names if os.path.exists(name)]
        for name in names:
            os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
            open(name, "w").write("print('planted')")
        tell(seen)
        """

    assert inside(code) == []
    assert inside(code) == []


@pytest.mark.claim("files.no-mounts")
def test_no_mount_of_any_kind_can_be_made_moved_or_taken_off(inside: Inside) -> None:
    found = inside(
        """
        mount = lambda *arguments: attempt(syscall, 165, *arguments)
        tell([
            mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None),
            mount(b"/usr", b"/tmp", None, 4096, None),
            mount(None, b"/usr", None, 32 | 4096, None),
            attempt(syscall, 166, b"/usr/lib", 2),
            attempt(syscall, 155, b".", b"."),
            attempt(syscall, 161, b"/tmp"),
            attempt(syscall, 428, -100, b"/usr", 1),
            attempt(syscall, 429, -1, b"", -100, b"/tmp", 4),
            attempt(syscall, 430, b"tmpfs", 0),
            attempt(syscall, 442, -100, b"/usr", 0, b"\\0" * 32, 32),
        ])
        """
    )

    assert set(found) == {"EPERM"}


@pytest.mark.twin("files.no-mounts")
def test_the_mounts_that_are_there_can_be_used(inside: Inside) -> None:
    assert (
        inside(
            "tell([os.path.ismount(path) for path in ('/home/user', '/tmp', '/dev/shm', '/proc')])"
        )
        == [True] * 4
    )


@pytest.mark.claim("files.no-devices")
def test_no_device_file_can_be_made_and_none_that_is_dangerous_is_there(inside: Inside) -> None:
    found = inside(
        """
        import stat
        made = [attempt(os.mknod, "/tmp/disk", 0o600 | stat.S_IFBLK, os.makedev(8, 0)),
                attempt(os.mknod, "/tmp/mem", 0o600 | stat.S_IFCHR, os.makedev(1, 1))]
        there = sorted(name for name in os.listdir("/dev") if not os.path.islink("/dev/" + name))
        tell([made, there])
        """
    )

    assert found[0] == ["EACCES", "EACCES"]
    # /dev/zero is left out where no cgroup counts the pages that one gets from it.
    assert set(found[1]) - {"zero"} == {"full", "null", "random", "shm", "urandom"}


@pytest.mark.twin("files.no-devices")
def test_the_ordinary_devices_work(inside: Inside) -> None:
    found = inside(
        """
        os.mkfifo("/tmp/fifo")
        tell([open("/dev/full", "rb").read(2).hex(), len(open("/dev/urandom", "rb").read(5)),
              open("/dev/null", "w").write("x"), attempt(os.write, os.open("/dev/full", os.O_WRONLY), b"x")])
        """
    )

    assert found == ["0000", 5, 1, "ENOSPC"]


@pytest.mark.claim("files.no-handles")
def test_files_cannot_be_opened_by_handle(inside: Inside) -> None:
    found = inside(
        """
        handle = ctypes.create_string_buffer(b"\\x08\\0\\0\\0\\x01\\0\\0\\0\\x02" + b"\\0" * 128)
        tell([attempt(syscall, 303, -100, b"/usr", handle, ctypes.create_string_buffer(4), 0),
              attempt(syscall, 304, os.open("/usr/lib", os.O_RDONLY), handle, 0)])
        """
    )

    assert found == ["EPERM", "EPERM"]


@pytest.mark.twin("files.no-handles")
def test_files_can_be_opened_by_name(inside: Inside) -> None:
    assert inside("tell(os.open('/usr/lib', os.O_RDONLY) > 2)") is True


@pytest.mark.claim("files.no-kernel-settings")
def test_kernel_settings_cannot_be_changed(inside: Inside) -> None:
    found = inside(
        """
        names = ["kernel/core_pattern", "kernel/hostname", "vm/overcommit_memory", "net/ipv4/ip_forward",
                 "user/max_user_namespaces", "kernel/shmmax"]
        paths = ["/proc/sys/" + name for name in names] + ["/proc/sysrq-trigger", "/proc/self/oom_score_adj",
                 "/proc/self/uid_map", "/proc/self/attr/current"]
        tell([attempt(open, path, "w") for path in paths if os.path.exists(path)])
        """
    )

    assert set(found) <= {"EROFS", "EACCES"}
    assert len(found) >= 7


@pytest.mark.twin("files.no-kernel-settings")
@pytest.mark.twin("files.no-kernel-secrets")
def test_kernel_settings_that_programs_ask_for_can_be_read(inside: Inside) -> None:
    found = inside(
        """
        names = ["/proc/sys/kernel/osrelease", "/proc/meminfo", "/proc/cpuinfo", "/proc/self/status", "/proc/stat"]
        tell([len(open(name).read()) > 5 for name in names])
        """
    )

    assert found == [True] * 5


@pytest.mark.claim("files.no-cgroup-control")
def test_cgroups_are_out_of_reach(inside: Inside) -> None:
    found = inside(
        """
        tell([os.path.exists("/sys/fs/cgroup"), "cgroup" in open("/proc/self/mountinfo").read(),
              sorted({line.strip().split(":", 2)[2] for line in open("/proc/self/cgroup")} - {"/"})])
        """
    )

    assert found[0] is False
    assert found[1] is False


@pytest.mark.twin("files.no-cgroup-control")
def test_code_can_limit_what_it_starts_by_other_means(inside: Inside) -> None:
    found = inside(
        """
        import resource, subprocess
        lower = lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))
        shown = subprocess.run(["/bin/sh", "-c", "ulimit -n"], preexec_fn=lower, capture_output=True, text=True)
        tell([shown.stdout, len(open("/proc/self/cgroup").read()) > 0])
        """
    )

    assert found == ["16\n", True]


@pytest.mark.claim("files.no-kernel-secrets")
def test_kernel_memory_messages_and_addresses_cannot_be_read(inside: Inside) -> None:
    found = inside(
        """
        def addresses():
            return sum(int(line.split()[0], 16) for line in open("/proc/kallsyms").readlines()[:50])
        tell([attempt(open, "/proc/kcore", "rb"), attempt(open, "/dev/mem", "rb"), attempt(open, "/dev/kmsg"),
              attempt(open, "/proc/kmsg"), attempt(syscall, 103, 3, ctypes.create_string_buffer(64), 64),
              attempt(addresses) if os.path.exists("/proc/kallsyms") else 0])
        """
    )

    assert set(found[:4]) <= {"EACCES", "ENOENT", "EPERM"}
    assert found[4] == "EPERM"
    assert found[5] in {0, "EACCES", "EPERM"}


@pytest.mark.claim("files.own-tmp-and-shm")
def test_tmp_and_shared_memory_are_the_sandboxs_own(inside: Inside) -> None:
    with (
        tempfile.NamedTemporaryFile(dir="/tmp") as ours,
        tempfile.NamedTemporaryFile(dir="/dev/shm") as shared,
    ):
        names = [Path(ours.name).name, Path(shared.name).name]
        found = inside("tell(os.listdir('/tmp') + os.listdir('/dev/shm'))")

    assert not set(names) & set(found)


@pytest.fixture
def two_mounts(secret: Path) -> Policy:
    """Mount a folder and a single file."""
    return Policy(
        mounts=[
            Mount(source=secret.parent, target="/data"),
            Mount(source=secret, target="/one/secret.txt"),
        ]
    )


@pytest.mark.claim("files.no-host-paths")
def test_names_of_the_hosts_folders_are_not_told(
    inside: Inside, secret: Path, two_mounts: Policy
) -> None:
    found = inside(
        """
        import mmap
        opened = [open(path, "rb") for path in ("/data/secret.txt", "/one/secret.txt")]
        mapped = [mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) for file in opened]
        names = ["environ", "cmdline", "cgroup", "maps", "smaps", "mountinfo", "mounts", "mountstats"]
        names += [f"fdinfo/{file.fileno()}" for file in opened]
        words = [open("/proc/self/" + name).read() for name in names]
        words += [os.readlink(f"/proc/self/fd/{file.fileno()}") for file in opened]
        words.append(" ".join(os.environ.values()))
        words.append(os.uname().nodename)
        tell(words)
        """,
        policy=two_mounts,
    )

    assert os.uname().nodename not in found
    assert [text for text in found if secret.parent.name in text] == []


@pytest.mark.twin("files.no-host-paths")
def test_names_inside_are_told(inside: Inside, two_mounts: Policy) -> None:
    found = inside(
        """
        mounts = [line.split() for line in open("/proc/self/mountinfo")]
        tell([sorted({fields[4] for fields in mounts if fields[4].startswith(("/data", "/one"))}),
              os.readlink(f"/proc/self/fd/{os.open('/one/secret.txt', os.O_RDONLY)}"),
              os.uname().nodename, os.getcwd()])
        """,
        policy=two_mounts,
    )

    assert found == [
        ["/data", "/one/secret.txt"],
        "/one/secret.txt",
        "protocell",
        "/home/user",
    ]


@pytest.mark.claim("files.no-descriptors")
def test_no_descriptor_of_the_host_or_of_init_is_inherited(inside: Inside) -> None:
    found = inside(
        """
        links = {}
        for number in os.listdir("/proc/self/fd"):
            try:
                links[int(number)] = os.readlink(f"/proc/self/fd/{number}").split(":")[0]
            except FileNotFoundError:
                pass  # the listing's own
        tell(sorted(links.items()))
        """
    )

    assert found == [[0, "/dev/null"], [1, "pipe"], [2, "pipe"], [3, "socket"]]


@pytest.mark.claim("files.names-below-home-only")
def test_a_file_put_in_lies_in_the_workspace(tmp_path: Path) -> None:
    with pytest.raises(protocell.ProtocellError):
        protocell.run_code("1", files={"../outside": b"x"})


@pytest.mark.twin("files.names-below-home-only")
@pytest.mark.twin("conduct.no-field-lowers-a-protection")
def test_a_file_is_put_in_where_it_is_named(inside: Inside) -> None:
    names = ["plain.txt", "folder/below/it.txt", "/home/user/absolute.txt"]
    found = inside(
        """
        names = ["plain.txt", "folder/below/it.txt", "absolute.txt"]
        tell([open(os.path.join("/home/user", name)).read() for name in names])
        """,
        files={name: f"in {name}" for name in names},
    )

    assert found == [f"in {name}" for name in names]
