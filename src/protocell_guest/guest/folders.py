"""The working folder of a branch: whether there is room for a copy of the present one, and the copy itself.

What is copied lies in the workspace; a folder elsewhere (/tmp, /usr) is nobody's work, and too large.  Room is
looked for before a process is made: a file system in memory that is filled to its end, or beyond the limit on
memory, takes the interpreter with it from which the branches were to come.  All of this runs in the code's own
process, and its figures are the code's word: the limits themselves are the kernel's.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from protocell_guest.guest.copies import NotCopyableError
from protocell_guest.plan import HOME

BRANCHES = f"{HOME}/.branches"  # the folders of branches

_PAGE = os.sysconf("SC_PAGE_SIZE")
_MIB = 1 << 20
_LIMITS = {
    errno.ENOSPC: "the workspace is full (limits workspace_bytes and workspace_inodes)",
    errno.EFBIG: "a file is larger than its limit file_bytes",
    errno.EACCES: "the code took the permission to read it away",
}


def check(count: int, memory: int) -> None:
    """Whether ``count`` copies of the present working folder can be made, where so much memory is left for files.

    Raises:
        NotCopyableError: there is no room; or it is not in the workspace.
    """
    try:
        source = os.getcwd()
        _check_place(source)
        files, size = _measured(source)
        space = os.statvfs(HOME)
    except OSError as error:
        why = f"its working folder cannot be read: {error.strerror}"
        raise NotCopyableError(f"{why}; os.chdir() into another one") from error
    files, size = files * count, size * count
    what = f"copies of the files ({count}) take {_shown(size)}"
    if size > space.f_bavail * space.f_frsize:
        left = _shown(space.f_bavail * space.f_frsize)
        raise NotCopyableError(f"{what}, and {left} are left of the limit workspace_bytes")
    if size > max(0, memory - _resident()):
        raise NotCopyableError(f"{what}, and less than that is left of the limit memory_bytes")
    if files + 1 > space.f_favail:
        left = f"{space.f_favail} are left of the limit workspace_inodes"
        raise NotCopyableError(f"the copies ({count}) have {files} files and folders, and {left}")


def _check_place(source: str) -> None:
    if source != HOME and not source.startswith(HOME + "/"):
        what = f"its working folder is {source!r}, and files are copied from {HOME} alone"
        raise NotCopyableError(f"{what}; os.chdir() there, or use fork(files='shared')")


def _shown(size: int) -> str:
    return f"{size / _MIB:.1f} MiB"


def _resident() -> int:
    """Bytes of this process that are no file's, and that count as the sandbox's."""
    with open("/proc/self/statm", "rb") as file:
        fields = file.read().split()
    return (int(fields[1]) - int(fields[2])) * _PAGE


def _measured(source: str) -> tuple[int, int]:
    """How many files and folders are copied, the first one included, and how many bytes they take."""
    count, size, device = 1, 0, os.stat(source).st_dev
    for _, entry in _copied(source):
        count += 1
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISREG(status.st_mode) and status.st_dev == device:
            size += -(-status.st_size // _PAGE) * _PAGE
    return count, size


def _copied(source: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """What is in a folder and goes along, by its path there; each folder before what is in it.

    Mounted folders are not entered: they are the host's, and are found by a link.
    """
    device = os.stat(source).st_dev
    stack = [""]
    while stack:
        prefix = stack.pop()
        with os.scandir(os.path.join(source, prefix)) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if entry.path == BRANCHES or not _is_file(status.st_mode):
                    continue
                path = f"{prefix}{entry.name}"
                yield path, entry
                if stat.S_ISDIR(status.st_mode) and status.st_dev == device:
                    stack.append(f"{path}/")


def _is_file(mode: int) -> bool:
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)


def copy(source: str, target: str) -> None:
    """What is in the source, links as links, without what is no file; the target must not be there.

    Raises:
        OSError: it cannot be read, or there is no room; the text is a sentence.
    """
    import shutil  # noqa: PLC0415  (few need it)

    path = ""
    try:
        device = os.stat(source).st_dev
        os.makedirs(target)
        folders = [("", source)]
        for path, entry in _copied(source):
            there, status = os.path.join(target, path), entry.stat(follow_symlinks=False)
            if status.st_dev != device:
                os.symlink(entry.path, there)
            elif stat.S_ISDIR(status.st_mode):
                os.mkdir(there)
                folders.append((path, entry.path))
            else:
                shutil.copy2(entry.path, there, follow_symlinks=False)
        for path, folder in reversed(folders):  # what is in a folder comes before its mode
            shutil.copystat(folder, os.path.join(target, path))
    except OSError as error:
        why = _LIMITS.get(error.errno or 0, error.strerror or str(error))
        raise OSError(f"{path!r} cannot be copied: {why}" if path else why) from error
