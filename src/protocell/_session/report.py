"""Puts an execution together: what the turn saw, what became of the variables, which files there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocell._boxes.box import Box
from protocell._running.outcome import Outcome
from protocell._running.turn import Turn
from protocell._running.verdict import Terms, error_of, judge, usage_of
from protocell._session.listeners import result_of
from protocell._workspace.place import Place
from protocell.errors import FileError
from protocell.execution import Execution, Logs, State
from protocell.files import FileSet
from protocell.policy import Policy

if TYPE_CHECKING:
    from protocell.calls import ToolCall


class Report:
    """What is known of one execution so far."""

    def __init__(self, turn: Turn, policy: Policy, wall_seconds: float, box: Box) -> None:
        self._turn = turn
        self._limits = policy.limits
        self._wall_seconds = wall_seconds
        self._box = box
        self.outcome = Outcome()
        self.state: State = "kept"
        self.state_reason = ""
        self.files = FileSet()
        self.calls: list[ToolCall] = []
        self.notes: list[str] = []  # of servers whose tools the code could not have
        self.copies = 0  # whose memory counts
        self.killed = self.is_over = False  # by the caller; with the sandbox's own time

    async def scan(self, place: Place) -> None:
        """Look what the code made; an execution that was must not get lost because that fails."""
        try:
            self.files = await place.scan()
        except (FileError, OSError) as error:
            self.files = FileSet(left_out={f"the workspace could not be read: {error}": 1})

    def execution(self, count: int, wait_seconds: float) -> Execution:
        """The whole."""
        terms = Terms(
            limits=self._limits,
            wall_seconds=self._wall_seconds,
            killed=self.killed,
            is_over=self.is_over,
            copies=self.copies,
        )
        status, reason = judge(self.outcome, terms)
        return Execution(
            status=status,
            reason=reason,
            state=self.state,
            state_reason=self.state_reason,
            files=self.files,
            results=[result_of(message) for message in self.outcome.results],
            results_left_out=self.outcome.left_out,
            warnings=[*self.notes, *self.outcome.warnings],
            logs=Logs(
                stdout=self._turn.pipes.stdout.lines(), stderr=self._turn.pipes.stderr.lines()
            ),
            error=error_of(self.outcome),
            exit_code=self.outcome.exit_code,
            execution_count=count,
            usage=usage_of(self.outcome, wait_seconds),
            enforced=self._box.enforced,
            tool_calls=self.calls,
        )
