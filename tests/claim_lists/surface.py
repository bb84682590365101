"""Claims about the kernel's surface."""

from tests.claim import Claim

CLAIMS = (
    Claim(
        id="surface.refused-calls",
        sentence="System calls that programs do not need are refused with a fitting errno.",
        source="promises 37, 38, 39, 40, 41, 42, 43, 46 and 47",
        attack=True,
    ),
    Claim(
        id="surface.no-namespaces",
        sentence="No namespace of any kind can be made or entered.",
        source="promise 44",
        attack=True,
    ),
    Claim(
        id="surface.no-namespaces-without-the-filter",
        sentence="Behind the filter, the kernel's own quota allows no user namespace inside.",
        source="promise 44",
        attack=True,
    ),
    Claim(
        id="surface.no-odd-sockets",
        sentence="Raw, packet, vsock, alg and other odd sockets, and netlink beyond routes, do not exist.",
        source="promise 34",
        attack=True,
    ),
    Claim(
        id="surface.no-personality",
        sentence="The execution domain and segment tables cannot be changed.",
        source="promise 45",
        attack=True,
    ),
    Claim(
        id="surface.no-other-abi",
        sentence="System calls through another ABI are not answered.",
        source="promise 48",
        attack=True,
    ),
    Claim(
        id="surface.no-rights",
        sentence="No capability is left, none can be gained, no_new_privs and the filter are on.",
        source="promise 49",
        attack=True,
    ),
    Claim(
        id="surface.set-user-id-is-nothing",
        sentence="A set-user-id program gives no rights.",
        source="promise 49",
        attack=True,
    ),
    Claim(
        id="surface.prctl",
        sentence="What was given up cannot be taken back by prctl.",
        source="promise 49; security anchor 4",
        attack=True,
    ),
    Claim(
        id="surface.own-sysv-ipc",
        sentence="System V IPC is the sandbox's own.",
        source="promise 50",
        attack=True,
    ),
)
