"""Claims about the truth of what comes back."""

from tests.claim import Claim

CLAIMS = (
    Claim(
        id="results.nothing-unpickled",
        sentence="What comes out is read as bounded JSON: nothing is unpickled, unmarshalled or evaluated.",
        source="promise 68; CVE-2025-14931",
        attack=True,
    ),
    Claim(
        id="results.forged-frames",
        sentence="Frames that are not the protocol end the code, cost the host little, and are told as such.",
        source="promise 69",
        attack=True,
    ),
    Claim(
        id="results.taken-over",
        sentence="Code that takes over our side of the channel harms its own interpreter only.",
        source="promise 69; security anchor 6",
        attack=True,
    ),
    Claim(
        id="results.status-not-forged",
        sentence="How an interpreter ended is the kernel's word, and no answer counts that came before its question.",
        source="promise 69",
        attack=True,
    ),
    Claim(
        id="results.odd-source",
        sentence="Source that cannot be parsed and closed streams are ordinary results.",
        source="promise 70",
    ),
    Claim(
        id="results.ends-told-apart",
        sentence="A crash, a kill, an exit and an overflow are told apart, and harm no later execution.",
        source="promise 71",
        attack=True,
    ),
)
