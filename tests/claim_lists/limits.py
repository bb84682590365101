"""Claims about limits: time, memory, disk, descriptors, and that they stay as they were set."""

from tests.claim import Claim

CLAIMS = (
    Claim(
        id="limits.time",
        sentence="Code ends at its time limit whatever it is busy with, and nothing of it holds the host.",
        source="promise 55",
        attack=True,
    ),
    Claim(
        id="limits.processor-time",
        sentence="Processor time is counted for children, orphans and threads, the dead included.",
        source="promise 55",
        attack=True,
    ),
    Claim(
        id="limits.after-the-end",
        sentence="What code leaves running between two executions stays under the limit of the first.",
        source="promises 55 and 62",
        attack=True,
    ),
    Claim(
        id="limits.memory",
        sentence="Memory is limited for the whole sandbox: children, files and hidden pages included.",
        source="promise 56",
        attack=True,
    ),
    Claim(
        id="limits.disk",
        sentence="Space and names in the workspace, /tmp and /dev/shm are limited, sparse files too.",
        source="promise 57",
        attack=True,
    ),
    Claim(
        id="limits.open-files",
        sentence="Each process has a limited number of descriptors.",
        source="promise 58",
        attack=True,
    ),
    Claim(
        id="limits.locked-memory",
        sentence="Memory cannot be locked beyond 64 KiB, nor taken from the huge pages.",
        source="promise 58",
        attack=True,
    ),
    Claim(
        id="limits.not-raised",
        sentence="No limit can be raised, by no call and for no process.",
        source="promise 59",
        attack=True,
    ),
    Claim(
        id="limits.each-its-own",
        sentence="Limits are each sandbox's own: one that reaches them leaves others theirs.",
        source="promise 59",
        attack=True,
    ),
)
