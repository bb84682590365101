"""Claims about tools of the host that code calls: the line that its calls go over, and who decides about them."""

from tests.claim import Claim

CLAIMS = (
    Claim(
        id="tools.forged-calls",
        sentence="What is no call ends the line of its own execution, and nothing else.",
        source="promise 80",
        attack=True,
    ),
    Claim(
        id="tools.host-stays-bounded",
        sentence="However many, however large, and whether or not answers are read, calls cost the host little memory.",
        source="promise 80; issue: Code mode",
        attack=True,
    ),
    Claim(
        id="tools.neighbours-feel-nothing",
        sentence="No call of one sandbox holds up, changes or ends a call of another one with the same tools.",
        source="issue: Code mode",
        attack=True,
    ),
    Claim(
        id="tools.bound-to-their-execution",
        sentence="When an execution has ended, however it did, no call of it is made any more, over no line.",
        source="promise 80",
        attack=True,
    ),
    Claim(
        id="tools.host-decides",
        sentence="What is called, how often and with what is the host's to say, whatever the code renames or patches.",
        source="promise 80",
        attack=True,
    ),
    Claim(
        id="tools.approved-is-what-is-called",
        sentence="Rules and people decide about the very arguments that the tool gets, for one execution and no other.",
        source="promise 80; issue: Code mode",
        attack=True,
    ),
    Claim(
        id="tools.errors-tell-nothing",
        sentence="No error of a call has a path of the host that the code did not name, a traceback or a secret in it.",
        source="issue: Code mode",
        attack=True,
    ),
)
