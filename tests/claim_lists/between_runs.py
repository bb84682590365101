"""Claims about what one sandbox leaves to the next: nothing."""

from tests.claim import Claim

CLAIMS = (
    Claim(
        id="between-runs.files",
        sentence="Files, locks and modules of one sandbox are not in another.",
        source="promise 72",
        attack=True,
    ),
    Claim(
        id="between-runs.ipc",
        sentence="System V objects, shared memory and abstract names of one sandbox are not in another.",
        source="promise 73",
        attack=True,
    ),
    Claim(
        id="between-runs.keys",
        sentence="Keyrings and POSIX message queues cannot be used at all, so nothing is kept in them.",
        source="promise 73",
        attack=True,
    ),
    Claim(
        id="between-runs.processes",
        sentence="Processes, listeners and timers of one sandbox are not in another.",
        source="promise 74",
        attack=True,
    ),
    Claim(
        id="between-runs.interpreter",
        sentence="Variables, patches, modules, hooks and settings of one interpreter are not in the next.",
        source="promise 75",
        attack=True,
    ),
    Claim(
        id="between-runs.random-numbers",
        sentence="Random numbers differ from sandbox to sandbox, those kept ready included.",
        source="promise 76",
        attack=True,
    ),
    Claim(
        id="between-runs.nothing-on-the-host",
        sentence="A run that leaves files, IPC objects, processes and listeners leaves none on the host.",
        source="promises 72, 73 and 74",
        attack=True,
    ),
)
