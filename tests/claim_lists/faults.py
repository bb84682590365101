"""Claims about what goes wrong in the middle: something runs out, is interrupted, or is killed."""

from tests.claim import Claim

CLAIMS = (
    Claim(
        id="faults.what-runs-out",
        sentence="Descriptors, room, names, processes and memory that run out are told, and what comes after works.",
        source="issue: Faults",
    ),
    Claim(
        id="faults.interruptions",
        sentence="An interrupt, a failing callback and a cancelled task come through, end the code and break nothing.",
        source="issue: Faults",
    ),
    Claim(
        id="faults.killed-processes",
        sentence="A killed zygote, init or interpreter is told truthfully and costs no other sandbox anything.",
        source="issue: Faults",
    ),
    Claim(
        id="faults.host-ends",
        sentence="However the host ends, it does so quickly and leaves nothing.",
        source="issue: Faults; promise 81",
    ),
)
