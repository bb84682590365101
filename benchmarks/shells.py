"""The two shells that code is run by: IPython, which is the default where it is installed, and the plain one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from protocell import Environment, Policy
from protocell.environment import Shell

IPYTHON = "IPython"
PLAIN = "plain"
# The first is what everybody gets who asks for nothing: the aims are for it.
SHELLS: Mapping[str, Shell] = {IPYTHON: "auto", PLAIN: "plain"}


def policy_of(
    shell: str, preload: Iterable[str] = (), *, ready: int = Environment().ready
) -> Policy:
    """The default policy but for the shell, by its name in the tables, and what is kept warm."""
    environment = Environment(shell=SHELLS[shell], preload=tuple(preload), ready=ready)
    return Policy(environment=environment)
