"""Attacks on the host's files: reading, changing, reaching what the sandbox was not given."""

import os
import tempfile
from pathlib import Path

import pytest

import protocell
from protocell import Mount, Policy
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


@pytest.mark.claim("files.no-host-passwd")
def test_the_list_of_users_is_the_sandboxs_own(inside: Inside) -> None:
    lines = inside("tell(open('/etc/passwd').read().splitlines())")

    assert lines == ["user:x:1000:1000:user:/home/user:/bin/sh"]


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


@pytest.mark.claim("files.no-host-paths")
def test_names_of_the_hosts_folders_are_not_told(inside: Inside, tmp_path: Path) -> None:
    policy = Policy(mounts=[Mount(source=tmp_path, target="/data")])
    found = inside(
        """
        words = [open("/proc/self/" + name).read() for name in ("environ", "cmdline", "cgroup")]
        words.append(" ".join(os.environ.values()))
        words.append(os.uname().nodename)
        tell(words)
        """,
        policy=policy,
    )

    assert os.uname().nodename not in found
    assert not [text for text in found if str(tmp_path) in text]


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
