"""The sandbox's file tree: an empty tmpfs, read-only copies of named host trees, pivot_root.

Theory of operation
-------------------
Called by the zygote (``template``) and by init (``jail``), each in a mount namespace of its own.
Trees are taken as detached copies (open_tree(2)) and put where they belong (move_mount(2)), so that
they can be taken while the caller may still walk to them and put when it is somebody else.  Mount
points are only ever made in a tmpfs of our own, never in a tree that came from elsewhere
(CVE-2026-87766, CVE-2026-41579).  At the end pivot_root(2) swaps the roots and the old one is
detached, so that no path, descriptor or working directory leads back.
"""

from __future__ import annotations

import errno
import os
import struct

from protocell_guest.kernel import _libc, syscalls

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REC = 0x4000
MS_PRIVATE = 0x40000

_OPEN_TREE_CLONE = 1
_OPEN_TREE_CLOEXEC = os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_AT_FDCWD = 0xFFFFFFFFFFFFFF9C  # -100 as the unsigned word that the call takes
_AT_SYMLINK_NOFOLLOW = 0x100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_ATTR_RDONLY = 0x1
_ATTR_NOSUID = 0x2
_ATTR_NODEV = 0x4
_ATTR_NOEXEC = 0x8
_FSOPEN_CLOEXEC = 1
_FSCONFIG_SET_STRING = 1
_FSCONFIG_CMD_CREATE = 6
_FSMOUNT_CLOEXEC = 1
_MNT_DETACH = 2
_STATX_BYTES = 256
_STATX_ATTR_MOUNT_ROOT = 0x2000


def _call(name: str, *arguments: _libc.Argument) -> int:
    return _libc.syscall(syscalls.number(name), *arguments)


def _path(path: str) -> bytes:
    return os.fsencode(path) + b"\0"


def make_private() -> None:
    """No mount made from here on is seen outside, and none made outside is seen here."""
    _call("mount", None, b"/\0", None, MS_REC | MS_PRIVATE, None)


def take(path: str) -> int:
    """A detached, recursive copy of the tree at ``path``, as a descriptor."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_RECURSIVE
    return _call("open_tree", _AT_FDCWD, _path(path), flags)


def take_files_only(folder: int, empty: int) -> int:
    """A detached read-only view of a host folder in which sockets and FIFOs lead nowhere.

    A read-only mount does not keep anybody from connecting to a socket that lies in it, nor from
    writing into a FIFO.  An overlay of the folder does: its inodes are its own, and a socket is found
    by its inode (unix(7) over overlayfs; fs/overlayfs/inode.c).  What is mounted below the folder is
    not in the view.  ``empty`` is an empty folder, since an overlay has at least two layers.
    """
    context = _call("fsopen", b"overlay\0", _FSOPEN_CLOEXEC)
    try:
        layers = f"/proc/self/fd/{folder}:/proc/self/fd/{empty}\0".encode()
        _call("fsconfig", context, _FSCONFIG_SET_STRING, b"lowerdir\0", layers, 0)
        _call("fsconfig", context, _FSCONFIG_CMD_CREATE, None, None, 0)
        attributes = _ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV
        return _call("fsmount", context, _FSMOUNT_CLOEXEC, attributes)
    finally:
        os.close(context)


def take_one_file(folder: int, name: str, stage: str) -> int:
    """A detached read-only copy of one file of a host folder, out of a view of the folder.

    A copy of the file itself would say in /proc/self/mountinfo where on the host it lies, folder by
    folder; one out of a view says where it lies in the view, which is its name.  Nothing else of the
    folder is in the copy.  ``stage`` is an empty folder on which the view stands for a moment: before
    Linux 6.15 nothing can be copied out of a tree that stands nowhere (open_tree(2)).

    Raises:
        OSError: it is a mount of its own, which the view would not show, or no view can be made.
    """
    if _is_mount_root(folder, name):
        raise OSError(errno.EXDEV, "the file is a mount of its own")
    empty = os.open(stage, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        put(take_files_only(folder, empty), stage)
    finally:
        os.close(empty)
    try:
        flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_SYMLINK_NOFOLLOW
        return _call("open_tree", _AT_FDCWD, _path(f"{stage}/{name}"), flags)
    finally:
        unmount(stage)


def _is_mount_root(folder: int, name: str) -> bool:
    status = _libc.buffer(bytes(_STATX_BYTES))
    _call("statx", folder, _path(name), _AT_SYMLINK_NOFOLLOW, 0, status)
    _, attributes = struct.unpack_from("=QQ", status)  # after mask and block size, 32 bits each
    return bool(attributes & _STATX_ATTR_MOUNT_ROOT)


def put(tree: int, target: str) -> None:
    """Attach a detached copy at ``target`` (relative to the working directory) and close it."""
    try:
        _call("move_mount", tree, b"\0", _AT_FDCWD, _path(target), _MOVE_MOUNT_F_EMPTY_PATH)
    finally:
        os.close(tree)


def seal_tree(path: str) -> None:
    """Make every mount at and below ``path`` read-only, without set-user-id and device files."""
    _set_attributes(path, _ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV, _AT_RECURSIVE)


def seal_device(path: str) -> None:
    """A device file keeps its function (no NODEV), but its inode cannot be changed."""
    _set_attributes(path, _ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NOEXEC, 0)


def _set_attributes(path: str, attributes: int, flags: int) -> None:
    block = _libc.buffer(struct.pack("=QQQQ", attributes, 0, 0, 0))
    _call("mount_setattr", _AT_FDCWD, _path(path), flags, block, len(block))


def mount_tmpfs(target: str, *, size: int, inodes: int, mode: int) -> None:
    """A tmpfs of at most ``size`` bytes and ``inodes`` files, owned by the caller."""
    options = f"size={size},nr_inodes={inodes},mode={mode:o}\0".encode()
    _call("mount", b"tmpfs\0", _path(target), b"tmpfs\0", MS_NOSUID | MS_NODEV, options)


def mount_proc(target: str) -> None:
    """A read-only /proc of this pid namespace: no oom_score_adj, no /proc/sys, no comm of others."""
    flags = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC
    _call("mount", b"proc\0", _path(target), b"proc\0", flags, None)


def open_private_proc() -> int:
    """A writable /proc that is attached nowhere: only the holder of the descriptor can use it."""
    context = _call("fsopen", b"proc\0", _FSOPEN_CLOEXEC)
    try:
        _call("fsconfig", context, _FSCONFIG_CMD_CREATE, None, None, 0)
        attributes = _ATTR_NOSUID | _ATTR_NODEV | _ATTR_NOEXEC
        tree = _call("fsmount", context, _FSMOUNT_CLOEXEC, attributes)
    finally:
        os.close(context)
    try:  # what fsmount returns is a place only (O_PATH) and cannot be listed
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=tree)
    finally:
        os.close(tree)


def pivot(root: str, old: str) -> None:
    """Make ``root`` the root, and ``old``, a folder in it, the place of the one so far."""
    _call("pivot_root", _path(root), _path(old))
    os.chdir("/")


def unmount(path: str) -> None:
    """Take a tree off, with everything mounted in it."""
    _call("umount2", _path(path), _MNT_DETACH)


def pivot_here() -> None:
    """Make the working directory the root and detach the old one (pivot_root(2), NOTES)."""
    _call("pivot_root", b".\0", b".\0")
    _call("umount2", b".\0", _MNT_DETACH)
    os.chdir("/")
