"""The zygotes of this process, one for each environment: started when needed, ended with the process."""

from __future__ import annotations

import atexit
import os
import threading

from protocell._boxes.zygote import Zygote
from protocell.environment import Environment
from protocell.policy import Policy


class Zygotes:
    """The running zygotes of this process, one for each environment."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_environment: dict[Environment, Zygote] = {}

    def get(self, environment: Environment) -> Zygote:
        """The zygote of an environment, started if there is none or it has died."""
        with self._lock:
            zygote = self._by_environment.get(environment)
            if zygote is None or not zygote.is_alive():
                if zygote is not None:
                    zygote.close()
                zygote = Zygote(environment)
                self._by_environment[environment] = zygote
            return zygote

    def top_up(self, policy: Policy) -> None:
        """Fill the ready sandboxes of a policy, if its zygote runs."""
        zygote = self._by_environment.get(policy.environment)
        if zygote is not None:
            zygote.top_up(policy)

    def close(self) -> None:
        """End them all; the next call starts anew."""
        with self._lock:
            zygotes = list(self._by_environment.values())
            self._by_environment.clear()
        for zygote in zygotes:
            zygote.close()

    def after_fork(self) -> None:
        """In a forked child: the zygotes are the parent's."""
        self._lock = threading.Lock()
        for zygote in self._by_environment.values():
            zygote.disown()
        self._by_environment.clear()


ZYGOTES = Zygotes()
atexit.register(ZYGOTES.close)
os.register_at_fork(after_in_child=ZYGOTES.after_fork)
