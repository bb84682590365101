"""Claims about living state: contexts, checkpoints, branches and commands of one sandbox."""

from tests.claim import Claim

CLAIMS = (
    Claim(
        id="state.restored-is-contained",
        sentence="An interpreter that goes on from a checkpoint is exactly as contained as the first one was.",
        source="issue: Living state",
    ),
    Claim(
        id="state.branches-are-contained",
        sentence="A branch, and an interpreter that begins anew in its place, is exactly as contained as its origin.",
        source="issue: Living state",
    ),
    Claim(
        id="state.commands-are-contained",
        sentence="A shell command is exactly as contained as code, and has no descriptor that is not its own.",
        source="issue: Living state",
    ),
    Claim(
        id="state.branches-share-no-descriptor",
        sentence="A branch shares no descriptor, socket, pipe or event with its siblings and its origin.",
        source="issue: Living state",
        attack=True,
    ),
    Claim(
        id="state.checkpoints-are-only-the-codes-own",
        sentence="Code that ends, stops, wakes or traces its own checkpoint harms itself only, and is told so.",
        source="issue: Living state",
        attack=True,
    ),
    Claim(
        id="state.lies-about-copies",
        sentence="Code that lies about its copies gains nothing: what it names is stopped, and ends with its context.",
        source="issue: Living state",
        attack=True,
    ),
    Claim(
        id="state.no-survivor",
        sentence="Nothing that a killed execution started goes on, with checkpoints or without.",
        source="issue: Living state; promise 24",
        attack=True,
    ),
    Claim(
        id="state.contexts-are-apart",
        sentence="A context neither sees nor signals nor connects to anything of another context of its sandbox.",
        source="issue: Living state",
        attack=True,
    ),
    Claim(
        id="state.settings-do-not-leak",
        sentence="Variables of the environment and folders of one run or context are not in another.",
        source="issue: Living state",
        attack=True,
    ),
)
