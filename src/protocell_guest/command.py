"""A shell command in a sandbox: as confined as the code of a context, with no interpreter around it.

Theory of operation
-------------------
Two processes.  The *keeper* is forked from init, is trusted and never runs code: it takes in the command's
orphans, passes an interrupt on (SIGUSR1 from init becomes SIGINT to the command's process group), waits for
the shell and ends as that did.  The shell is forked from it, gives up everything like a context, tells the
host what is enforced, hands over the read ends of its pipes, and is /bin/sh from then on.  Standard input is
/dev/null.  What the shell has left running when it ends goes on, and is the main interpreter's from then on.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import NamedTuple, NoReturn

from protocell_guest import context, jail
from protocell_guest.kernel import children, processes
from protocell_guest.plan import HOME
from protocell_guest.recipe import Ground, Recipe

_SHELL = "/bin/sh"
_INTERRUPT = {signal.SIGUSR1}
_CANNOT_RUN = 126  # as of sh(1)


class Order(NamedTuple):
    """What is to be run."""

    command: str
    envs: dict[str, str]
    cwd: str  # absolute, or relative to the workspace


def start(recipe: Recipe, ground: Ground, order: Order) -> int:
    """Fork it; returns the pid of its keeper."""
    return context.fork(lambda: _keep(recipe, ground, order))


def _keep(recipe: Recipe, ground: Ground, order: Order) -> NoReturn:
    children.forget()
    processes.take_in_orphans()
    signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPT)  # until there is who gets it
    shell = context.fork(lambda: _Shell(recipe, ground, order).run())
    jail.close_all_above(2)
    signal.signal(signal.SIGUSR1, lambda _number, _frame: _pass_on(shell))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPT)
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == shell:
            _end_as(status)


def _pass_on(shell: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has just been collected
        os.killpg(shell, signal.SIGINT)


def _end_as(status: int) -> NoReturn:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else _CANNOT_RUN)


class _Shell(context.Confined):
    """The process that becomes the shell."""

    def __init__(self, recipe: Recipe, ground: Ground, order: Order) -> None:
        super().__init__(recipe, 0)
        self._ground = ground
        self._order = order

    def take_ground(self) -> Ground:
        return self._ground

    def get_ready(self, ground: Ground) -> None:
        os.fchdir(ground.workspace)
        streams = self.confine(ground)
        # By the code's own rights, and before the host hears of it: a folder that is not there is its failure.
        self.steps.run("cwd", lambda: os.chdir(os.path.join(HOME, self._order.cwd)))
        self.steps.enforced.remove("cwd")  # a step, and no protection
        os.environ.update(self._order.envs)
        # From the greeting on it can be interrupted; Python would only take note, and the shell would not know.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        self.greet("command", [*streams])
        jail.close_all_above(2)
        jail.limit_descriptors(self.recipe.plan)

    def go_on(self) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPT)
        os.execve(_SHELL, ["sh", "-c", self._order.command], dict(os.environ))  # noqa: S606
