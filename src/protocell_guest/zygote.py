"""The fork server: one clean, prepared interpreter from which every sandbox is cloned.

Theory of operation
-------------------
Started by the host with execve and an almost empty environment, so that nothing of the host is in
its memory.  Single-threaded.  It imports what is to be preloaded, then serves one socket:
each request is a plan and one end of a control socket; the answer comes from the new sandbox's own
init, over that control socket, so requests can be sent ahead and need no order.

Rights: those of the host's user.  As root it maps an id that belongs to nobody (namespaces.py).
Descriptors: ``requests`` (SEQPACKET, from the host; end of file: the host is done), the host's pidfd
(readable when it is gone, which end of file does not tell if the host had forked), its own pidfd,
which every init inherits, and cgroup folders.  It never talks to model code and shares no
descriptor with it.

Of each sandbox it holds init's pidfd, which tells its end, and then removes the cgroup's leaf.  No
handler of SIGCHLD: every fork would have to take it back, at a copied page for each that this touches.

It ends when the host ends; every init has asked for SIGKILL at its end, and with init goes the
whole pid namespace.  The cgroup folders are removed by a small process of their own, forked before
anything is loaded, which waits for the zygote's end: they go even after kill -9.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import traceback
from contextlib import ExitStack
from typing import Any, NamedTuple, NoReturn

from protocell_guest import wire
from protocell_guest.init import Init
from protocell_guest.kernel import cgroups, limits, namespaces
from protocell_guest.plan import Plan
from protocell_guest.recipe import Go, Recipe, Taste
from protocell_guest.template import Templates

_REMOVE_MILLISECONDS = 20


class _Leaf(NamedTuple):
    """A cgroup, and the number of the sandbox for which it was made."""

    name: int
    cgroup: cgroups.Leaf


class _Sandbox(NamedTuple):
    """What goes when its init has ended."""

    pid: int
    leaf: _Leaf | None


class Zygote:
    """Forks sandboxes and reaps them."""

    def __init__(
        self,
        requests: socket.socket,
        host: int,
        group: cgroups.Group | None,
        taste: Taste,
    ) -> None:
        self._requests = requests
        self._host = host
        self._group = group
        self._taste = taste
        self._self = os.pidfd_open(os.getpid())
        self._ids = namespaces.outer_ids()
        self._templates = Templates(counted=group is not None)
        self._plans: dict[int, Plan] = {}
        self._data = limits.data_in_use()
        self._sandboxes: dict[int, _Sandbox] = {}  # by init's pidfd
        self._ended: list[cgroups.Leaf] = []
        self._users: dict[int, int] = {}  # how many sandboxes share the cgroup of this one
        self._poll = select.poll()

    def serve(self) -> None:
        """Serve until the host is gone."""
        requests = self._requests.fileno()
        for descriptor in (requests, self._host):
            self._poll.register(descriptor, select.POLLIN)
        while True:
            asked = False
            for descriptor, _ in self._poll.poll(_REMOVE_MILLISECONDS if self._ended else None):
                if descriptor == self._host:
                    return
                if descriptor == requests:
                    asked = True
                else:
                    self._reap(descriptor)
            self._remove_leaves()
            if asked and not self._answer():
                return

    def _answer(self) -> bool:
        request, received = wire.recv_packet(self._requests)
        if request is None:
            return False
        control = socket.socket(fileno=received[0])
        given = dict(zip(request["given"], received[1:], strict=True))
        try:
            self._spawn(self._plan(request), request, control, given)
        except (OSError, ValueError, KeyError) as error:
            failure = {
                "event": "failed",
                "step": "clone",
                "errno": getattr(error, "errno", None) or 0,
                "detail": str(error),
            }
            with contextlib.suppress(OSError):  # the host does not want it any more
                wire.send_packet(control, failure)
        finally:
            control.close()
            for descriptor in given.values():
                os.close(descriptor)
        return True

    def _plan(self, request: dict[str, Any]) -> Plan:
        """A plan comes whole once, and by its number from then on."""
        number = request["number"]
        if "plan" in request:
            self._plans[number] = Plan.from_message(request["plan"])
        return self._plans[number]

    def _spawn(
        self, plan: Plan, request: dict[str, Any], control: socket.socket, given: dict[str, int]
    ) -> None:
        template = self._templates.get(plan)
        with ExitStack() as ours, ExitStack() as unborn:
            leaf = self._leaf_for(plan, request)
            if leaf is not None:
                ours.callback(leaf.cgroup.close)
                unborn.callback(self._let_go, leaf)
            recipe = Recipe(
                plan=plan,
                letter=given.get("letter"),
                workspace=given.get("workspace"),
                leaf=leaf.cgroup if leaf is not None else None,
                inherited_data=self._data,
                control=control,
                taste=self._taste,
            )
            init = Init(recipe, template, self._self)
            ours.callback(init.close)
            go = Go.make()
            ours.callback(go.close)
            pid, end = namespaces.clone_init()
            if pid == 0:
                _become(init, go)
            self._sandboxes[end] = _Sandbox(pid, leaf)
            self._poll.register(end, select.POLLIN)
            unborn.pop_all()  # from here on it goes with its init
            namespaces.write_id_maps(pid, *self._ids)
            go.say()

    def _leaf_for(self, plan: Plan, request: dict[str, Any]) -> _Leaf | None:
        """One of its own, or that of the sandbox beside which it is to be."""
        if self._group is None:
            return None
        beside = request["beside"]
        if beside is not None:
            if beside not in self._users:
                raise OSError(errno.ENOENT, "the sandbox beside which it was to be has ended")
            leaf = _Leaf(beside, self._group.reopen(f"box-{beside}"))
        else:
            name = request["name"]
            limit, processes = plan.limits["memory_bytes"], plan.limits["processes"]
            cgroup = self._group.create(f"box-{name}", memory_bytes=limit, processes=processes)
            leaf = _Leaf(name, cgroup)
        self._users[leaf.name] = self._users.get(leaf.name, 0) + 1
        return leaf

    def _let_go(self, leaf: _Leaf) -> None:
        """It goes with the last of its users."""
        self._users[leaf.name] -= 1
        if not self._users[leaf.name]:
            del self._users[leaf.name]
            self._ended.append(leaf.cgroup)

    def _reap(self, end: int) -> None:
        sandbox = self._sandboxes.pop(end)
        self._poll.unregister(end)
        os.close(end)
        os.waitpid(sandbox.pid, 0)
        if sandbox.leaf is not None:
            self._let_go(sandbox.leaf)

    def _remove_leaves(self) -> None:
        """Of sandboxes that have ended; the kernel lets go of a cgroup some time after its last process."""
        self._ended = [leaf for leaf in self._ended if not leaf.remove()]


def _become(init: Init, go: Go) -> NoReturn:
    try:
        init.run(go)
    except BaseException:  # noqa: BLE001  (whatever it is, it must not run the zygote's loop)
        traceback.print_exc()  # to the pipe that the host reads when something went wrong
        os._exit(70)
