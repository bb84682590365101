"""Claims about processes: the host's, pid 1 of a sandbox, and how what code started comes to its end."""

from tests.claim import Claim

CLAIMS = (
    Claim(
        id="processes.host-unseen",
        sentence="Processes of the host are not seen, the zygote's among them.",
        source="promise 14",
        attack=True,
    ),
    Claim(
        id="processes.host-not-signalled",
        sentence="No signal reaches a process outside the sandbox.",
        source="promise 15",
        attack=True,
    ),
    Claim(
        id="processes.host-not-traced",
        sentence="No process outside, nor pid 1 inside, can be traced.",
        source="promise 16",
        attack=True,
    ),
    Claim(
        id="processes.memory-unread",
        sentence="Memory of processes outside, and of pid 1 inside, can be neither read nor written.",
        source="promise 17",
        attack=True,
    ),
    Claim(
        id="processes.environments-unread",
        sentence="Environments of processes outside, and of pid 1 inside, cannot be read.",
        source="promise 18",
        attack=True,
    ),
    Claim(
        id="processes.descriptors-not-taken",
        sentence="No descriptor, root or working directory of another process can be taken.",
        source="promise 19; CVE-2019-5736, CVE-2024-21626",
        attack=True,
    ),
    Claim(
        id="processes.init-unharmed",
        sentence="Pid 1 of the sandbox cannot be ended, stopped, slowed down or limited by the code.",
        source="promises 15 and 20; issue: init never runs model code",
        attack=True,
    ),
    Claim(
        id="processes.no-privilege",
        sentence="Code cannot raise its priority, become real-time or escape the OOM killer.",
        source="promise 20",
        attack=True,
    ),
    Claim(
        id="processes.no-core-dumps",
        sentence="A crash leaves no core, in the workspace or on the host, whatever core_pattern says.",
        source="promise 21",
        attack=True,
    ),
    Claim(
        id="processes.suicide-is-local",
        sentence="Code that ends or stops itself and all it can reach harms no other sandbox and not the host.",
        source="promise 22",
        attack=True,
    ),
    Claim(
        id="processes.daemons-end",
        sentence="Daemons end with the run or the sandbox that they come from.",
        source="promise 23",
        attack=True,
    ),
    Claim(
        id="processes.all-gone-after-a-time-out",
        sentence="After a time-out that the code does not obey, nothing that it started is left.",
        source="promise 24",
        attack=True,
    ),
    Claim(
        id="processes.stopped-ones-end",
        sentence="Stopped processes end like others.",
        source="promise 25",
        attack=True,
    ),
    Claim(
        id="processes.closed-stdio",
        sentence="Closed standard streams, or ones held open by others, change neither result nor status.",
        source="promise 26",
        attack=True,
    ),
    Claim(
        id="processes.capped",
        sentence="Processes and threads are capped by a number.",
        source="promise 27",
        attack=True,
    ),
    Claim(
        id="processes.no-terminal",
        sentence="There is no terminal, and nothing can be typed into one.",
        source="promise 28; CVE-2017-5226, CVE-2023-28100",
        attack=True,
    ),
)
