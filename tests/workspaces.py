"""A workspace to attack: a real folder, on tmpfs where the machine has one, as the sandbox's own is."""

import gc
import os
import resource
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from protocell._workspace.walk import UNCERTAIN_NANOSECONDS
from protocell_guest.kernel import _libc, syscalls

NOBODY = 65534
AS_ROOT = os.geteuid() == 0
_MOST_STEPS = 1_000_000
_AT_FDCWD = (1 << 64) - 100  # as an unsigned word
_RENAME_EXCHANGE = 2
_SHARED_MEMORY = Path("/dev/shm")


class Place:
    """A workspace with its descriptor, and beside it a folder that nobody inside may reach."""

    def __init__(self, base: Path) -> None:
        self.path = base / "workspace"
        self.outside = base / "outside"
        self.path.mkdir()
        self.outside.mkdir()
        self.write_outside("secret.txt", b"secret")
        self.fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)

    def write(self, name: str, content: bytes = b"") -> Path:
        """Write a file and the folders above it."""
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def write_outside(self, name: str, content: bytes) -> Path:
        """Write what must never come out."""
        path = self.outside / name
        path.write_bytes(content)
        return path


@contextmanager
def made_place() -> Iterator[Place]:
    """A place that anyone can get to, as a home inside is, and that is gone afterwards."""
    on_tmpfs = os.path.ismount(_SHARED_MEMORY) and os.access(_SHARED_MEMORY, os.W_OK)
    base = Path(tempfile.mkdtemp(dir=_SHARED_MEMORY if on_tmpfs else None))
    base.chmod(0o755)
    place = Place(base)
    try:
        yield place
    finally:
        os.close(place.fd)
        shutil.rmtree(base)


@contextmanager
def no_descriptor_left() -> Iterator[None]:
    """Fail if there are more descriptors afterwards."""
    before = set(os.listdir("/proc/self/fd"))
    yield
    if set(os.listdir("/proc/self/fd")) - before:
        gc.collect()  # it costs more than most tests, so only where a cycle may hold one
    assert set(os.listdir("/proc/self/fd")) - before == set()


@contextmanager
def ordinary_user(place: Place) -> Iterator[None]:
    """Own the workspace and be subject to its modes, as root is not."""
    if not AS_ROOT:
        yield
        return
    for folder, _, files in os.walk(place.path):
        for path in [folder, *(os.path.join(folder, name) for name in files)]:
            os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextmanager
def no_free_descriptor() -> Iterator[None]:
    """Let every open(2) of this process fail with EMFILE."""
    lowest = os.dup(0)
    os.close(lowest)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def meanwhile(step: Callable[[], None]) -> Iterator[None]:
    """Do something over and over in another process, which shares no lock with this one."""
    child = os.fork()
    if child == 0:
        try:
            for _ in range(_MOST_STEPS):
                step()
        finally:
            os._exit(0)
    try:
        yield
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def flip_folder(place: Place, name: str) -> Callable[[], None]:
    """Return a step that puts a link to the outside in the place of a folder, and takes it away again."""
    path, aside = place.path / name, place.outside / "aside"

    def step() -> None:
        path.rename(aside)
        path.symlink_to(place.outside)
        path.unlink()
        aside.rename(path)

    return step


def flip_file(place: Place, name: str, other: Path) -> Callable[[], None]:
    """Return a step that puts something else in the place of a file and the file back, so that one is always there."""
    path, spare, own = place.path / name, place.outside / "spare", place.outside / "own"
    os.link(path, own)

    def step() -> None:
        for source in (other, own):
            os.link(source, spare, follow_symlinks=False)
            spare.rename(path)

    return step


def exchange(one: Path, other: Path) -> Callable[[], None]:
    """Return a step that swaps two names, so that each is there at any moment."""
    names = [os.fsencode(path) + b"\0" for path in (one, other)]
    number = syscalls.number("renameat2")

    def step() -> None:
        _libc.syscall(number, _AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)

    return step


def make_deep(place: Place, depth: int) -> None:
    """Make folders in folders, deeper than any path can say."""
    folder = os.dup(place.fd)
    for _ in range(depth):
        os.mkdir("d", dir_fd=folder)
        below = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(os.open("bottom", os.O_WRONLY | os.O_CREAT, dir_fd=folder))
    os.close(folder)


def flatten(place: Place) -> None:
    """Undo ``make_deep``: shutil.rmtree would recurse, or hold a descriptor a level."""
    top, aside = place.path / "d", place.outside / "aside"
    while (top / "d").exists():
        (top / "d").rename(aside)
        top.rmdir()
        aside.rename(top)
    (top / "bottom").unlink()
    top.rmdir()


def wait_until_certain(path: Path) -> None:
    """Let the clock tick so often that what is written now must get another ctime."""
    while time.time_ns() - path.stat().st_ctime_ns <= UNCERTAIN_NANOSECONDS:
        pass


def is_tmpfs(place: Place) -> bool:
    """Whether the kernel stamps and maps files here as it does in a sandbox."""
    device = os.fstat(place.fd).st_dev
    return os.path.ismount(_SHARED_MEMORY) and device == _SHARED_MEMORY.stat().st_dev


def can_make_devices(place: Place) -> bool:
    """Whether this machine lets us make a device node, as user namespaces do not."""
    if not AS_ROOT:
        return False
    try:
        os.mknod(place.outside / "probe", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    except PermissionError:
        return False
    return True
