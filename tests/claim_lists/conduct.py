"""Claims about our own conduct."""

from tests.claim import Claim

CLAIMS = (
    Claim(
        id="conduct.fails-closed",
        sentence="A missing protection is an error that names it, unless waived by name; results say what was on.",
        source="promise 77; CVE-2026-2275",
        attack=True,
    ),
    Claim(
        id="conduct.probed-for-each-sandbox",
        sentence="What the kernel gives is found out for each sandbox, also after a fork, and not once for ever.",
        source="promise 78",
        attack=True,
    ),
    Claim(
        id="conduct.no-field-lowers-a-protection",
        sentence="Nothing that the model controls (code, names, files, output) lowers a protection or widens a path.",
        source="promise 79; CVE-2026-25725",
        attack=True,
    ),
    Claim(
        id="conduct.nothing-left",
        sentence="No process, mount, cgroup or file is left when host, zygote or init is killed.",
        source="promise 81",
        attack=True,
    ),
    Claim(
        id="conduct.root-and-user",
        sentence="It is the same sandbox for root and for an ordinary user.",
        source="promise 82",
    ),
    Claim(
        id="conduct.everyday-code-runs",
        sentence="What agents write every day runs: data files, threads, processes, loopback sockets, tests, plots.",
        source="promise 83",
    ),
)
