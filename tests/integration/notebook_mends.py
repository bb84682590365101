"""What takes one difference out of two outcomes of a cell, ours and a notebook's, so that the rest can be compared."""

import re
from collections.abc import Callable
from dataclasses import replace

from tests.integration.notebook_outcomes import Outcome, Shown

Mend = Callable[[Outcome, Outcome], tuple[Outcome, Outcome]]

PLOTLY = "application/vnd.plotly.v1+json"


def each(change: Callable[[Outcome], Outcome]) -> Mend:
    """The same done to both; how it ended is looked at all the same, if somebody ended it."""

    def mend(ours: Outcome, theirs: Outcome) -> tuple[Outcome, Outcome]:
        assert ours.status in {"ok", "error"}, ours.status
        return change(ours), change(theirs)

    return mend


def without(*names: str) -> Mend:
    """Both without these fields."""
    empty = Outcome()
    blank = {name: getattr(empty, name) for name in names}
    return each(lambda outcome: replace(outcome, **blank))


def forms_without(*mimes: str) -> Mend:
    """Both without these forms."""

    def thinned(outcome: Outcome) -> Outcome:
        kept = [
            {mime: text for mime, text in one.forms.items() if mime not in mimes}
            for one in outcome.shown
        ]
        shown = zip(outcome.shown, kept, strict=True)
        return replace(outcome, shown=[replace(one, forms=forms) for one, forms in shown])

    return each(thinned)


# -- of both -------------------------------------------------------------------------------------------


@each
def one_terminal(outcome: Outcome) -> Outcome:
    """Both streams as one, and words for columns."""
    return replace(outcome, stdout=" ".join((outcome.stdout + outcome.stderr).split()), stderr="")


@each
def without_colours(outcome: Outcome) -> Outcome:
    """Without them, and without the spaces that IPython puts around what is coloured."""
    return replace(outcome, stdout=re.sub(r"\x1b\[[0-9;]*m|\s", "", outcome.stdout))


@each
def without_main(outcome: Outcome) -> Outcome:
    """None of the values as the main one."""
    return replace(outcome, shown=[replace(one, main=False) for one in outcome.shown])


@each
def counted(outcome: Outcome) -> Outcome:
    """How many values are shown, and which is the main one."""
    return replace(outcome, shown=[replace(one, forms={}) for one in outcome.shown])


@each
def error_by_name(outcome: Outcome) -> Outcome:
    """The class of the error alone."""
    return replace(outcome, error=(outcome.error or "").partition(":")[0])


@each
def last_line(outcome: Outcome) -> Outcome:
    """The line of the last error alone."""
    return replace(outcome, lines=outcome.lines[-1:])


# -- of one --------------------------------------------------------------------------------------------


def meant(ours: Outcome, theirs: Outcome) -> tuple[Outcome, Outcome]:
    """Ours has to have run what is none of Python's syntax there."""
    assert (ours.status, str(theirs.error).partition(":")[0]) == ("ok", "SyntaxError")
    return without("stdout", "status", "error", "lines", "shown")(ours, theirs)


def each_figure_once(ours: Outcome, theirs: Outcome) -> tuple[Outcome, Outcome]:
    """Their figures without those that stand there already."""
    kept: list[Shown] = []
    for one in theirs.shown:
        if one.forms.get("image/png") not in [before.forms.get("image/png") for before in kept]:
            kept.append(one)
    return ours, replace(theirs, shown=kept)


def without_last_figure(ours: Outcome, theirs: Outcome) -> tuple[Outcome, Outcome]:
    """Ours without the figure that comes last."""
    *others, figure = ours.shown
    assert "image/png" in figure.forms
    return replace(ours, shown=others), theirs


def failed_hook(ours: Outcome, theirs: Outcome) -> tuple[Outcome, Outcome]:
    """Ours has to name their error, on stderr or in place of the text."""
    name = str(theirs.error).partition(":")[0]
    assert name in ours.stderr or any(name in one.forms["text/plain"] for one in ours.shown)
    ours, theirs = without("status", "stderr", "error", "lines")(ours, theirs)
    if not theirs.shown:
        return replace(ours, shown=[]), theirs
    return forms_without("text/plain")(ours, theirs)


def plotly_shown(ours: Outcome, theirs: Outcome) -> tuple[Outcome, Outcome]:
    """Ours has to have the figure's specification."""
    assert "requires nbformat" in str(theirs.error)
    assert ours.status == "ok"
    assert [PLOTLY in one.forms for one in ours.shown] == [True]
    return without("status", "error", "lines", "shown")(ours, theirs)


def last_printed(ours: Outcome, theirs: Outcome) -> tuple[Outcome, Outcome]:
    """Of what we have kept, what was not cleared away."""
    assert ours.stdout.endswith(theirs.stdout)
    return replace(ours, stdout=theirs.stdout), theirs


def ends_of_output(ours: Outcome, theirs: Outcome) -> tuple[Outcome, Outcome]:
    """Both ends of what is too long."""
    assert ours.stdout[:100_000] == theirs.stdout[:100_000]
    assert ours.stdout[-100_000:] == theirs.stdout[-100_000:]
    return replace(ours, stdout=theirs.stdout), theirs
