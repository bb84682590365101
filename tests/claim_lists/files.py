"""Claims about the host's files."""

from tests.claim import Claim

CLAIMS = (
    Claim(
        id="files.read-outside",
        sentence="Nothing of the host outside the given view can be read.",
        source="promise 1",
        attack=True,
    ),
    Claim(
        id="files.no-host-passwd",
        sentence="The list of users inside is the sandbox's own.",
        source="issue: a minimal /etc",
        attack=True,
    ),
    Claim(
        id="files.mounts-are-read-only",
        sentence="A mounted folder cannot be changed in any way.",
        source="promise 2",
        attack=True,
    ),
    Claim(
        id="files.system-is-read-only",
        sentence="The interpreter and the system's files cannot be changed, not through /proc/self/exe either.",
        source="promise 3; CVE-2019-5736",
        attack=True,
    ),
    Claim(
        id="files.no-persistence",
        sentence="What code writes to its home, start-up files included, is gone in the next sandbox.",
        source="promises 4 and 72",
        attack=True,
    ),
    Claim(
        id="files.no-mounts",
        sentence="No mount of any kind can be made, moved, changed or taken off.",
        source="promise 5",
        attack=True,
    ),
    Claim(
        id="files.no-devices",
        sentence="No device file can be made, and none that is dangerous is there.",
        source="promise 6",
        attack=True,
    ),
    Claim(
        id="files.no-handles",
        sentence="Files cannot be opened by handle.",
        source="promise 7",
        attack=True,
    ),
    Claim(
        id="files.no-kernel-settings",
        sentence="Kernel settings cannot be changed.",
        source="promise 8",
        attack=True,
    ),
    Claim(
        id="files.no-cgroup-control",
        sentence="Control groups cannot be seen or changed.",
        source="promise 9",
        attack=True,
    ),
    Claim(
        id="files.no-kernel-secrets",
        sentence="Kernel memory, messages and addresses cannot be read.",
        source="promise 10",
        attack=True,
    ),
    Claim(
        id="files.own-tmp-and-shm",
        sentence="/tmp and /dev/shm are the sandbox's own.",
        source="promise 11",
        attack=True,
    ),
    Claim(
        id="files.no-host-paths",
        sentence="Names of the host's folders and of the host are not told.",
        source="promise 12",
        attack=True,
    ),
    Claim(
        id="files.no-descriptors",
        sentence="No descriptor of the host, the zygote or init is inherited.",
        source="promises 13 and 19; CVE-2024-21626",
        attack=True,
    ),
    Claim(
        id="files.names-below-home-only",
        sentence="A file that is put in lies in the workspace, or is refused.",
        source="issue: Bad input",
        attack=True,
    ),
    Claim(
        id="files.changes-stay-inside",
        sentence="What the host writes, renames, removes or uploads in a workspace changes nothing outside of it.",
        source="issue: Files; CVE-2024-28185",
        attack=True,
    ),
    Claim(
        id="files.init-is-not-held-up",
        sentence="No tree that code makes, however deep or wide or growing, holds up its removal or anything else.",
        source="issue: Files",
        attack=True,
    ),
)
