"""Claims about secrets, and about what a warm template must not carry into its forks."""

from tests.claim import Claim

CLAIMS = (
    Claim(
        id="secrets.clean-environment",
        sentence="No variable of the host's environment is inside, not in the initial one either.",
        source="promise 51",
        attack=True,
    ),
    Claim(
        id="secrets.clean-memory",
        sentence="What the host holds in memory is not in the memory of a sandbox.",
        source="promise 52; the warm template's trap 1",
        attack=True,
    ),
    Claim(
        id="secrets.no-secrets-of-other-sandboxes",
        sentence="Variables, mounts, code and files of one sandbox are not in the memory of the next.",
        source="promises 52 and 75; the warm template's trap 1",
        attack=True,
    ),
    Claim(
        id="secrets.clean-objects",
        sentence="No Python object inside holds a secret or an open descriptor of the host or the zygote.",
        source="promise 53",
        attack=True,
    ),
    Claim(
        id="secrets.empty-stdin",
        sentence="Standard input is empty and not the host's.",
        source="promise 54",
        attack=True,
    ),
    Claim(
        id="template.no-inherited-descriptors",
        sentence="Descriptors that the host left inheritable do not come through the zygote.",
        source="promises 13 and 19; the warm template's trap 2; CVE-2024-21626",
        attack=True,
    ),
    Claim(
        id="template.no-inherited-state",
        sentence="Ignored and blocked signals and the file mode mask of the host are not the code's.",
        source="template traps",
        attack=True,
    ),
    Claim(
        id="template.confinement-is-anew",
        sentence="Each sandbox has namespaces of its own, and each context its own filter and empty capabilities.",
        source="issue: confinement made anew for each sandbox; the warm template's trap 6",
    ),
    Claim(
        id="template.hash-seeds",
        sentence="Hash seeds are random; one zygote's sandboxes share one, and a new zygote has another.",
        source="issue: traps of a warm template; the warm template's trap 4",
    ),
    Claim(
        id="template.random-numbers-differ",
        sentence="No two sandboxes draw the same numbers from a generator that was used before the fork.",
        source="promise 76; the warm template's trap 4",
        attack=True,
    ),
    Claim(
        id="template.no-host-address",
        sentence="The hardware address of the host is not told, not by what uuid remembers either.",
        source="promise 12; the warm template's trap 4",
    ),
    Claim(
        id="template.starts-clean",
        sentence="No variable, folder or start-up file of the host gets into a zygote's interpreter.",
        source="promise 51; the warm template's trap 7",
    ),
)
