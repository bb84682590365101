"""Claims about the network: there is none but the sandbox's own loopback."""

from tests.claim import Claim

CLAIMS = (
    Claim(
        id="network.no-host-loopback",
        sentence="No service of the host can be reached, on its loopback or any other address.",
        source="promises 29 and 32",
        attack=True,
    ),
    Claim(
        id="network.no-datagrams",
        sentence="No datagram leaves, no name is resolved, and both are refused at once.",
        source="promise 30",
        attack=True,
    ),
    Claim(
        id="network.no-unix-sockets",
        sentence="Unix sockets of the host cannot be reached by path or by abstract name.",
        source="promise 31",
        attack=True,
    ),
    Claim(
        id="network.no-sockets-of-mounts",
        sentence="Unix sockets and named pipes in a mounted folder lead nowhere, those made later included.",
        source="promise 31; GHSA-wr3w of cplt",
        attack=True,
    ),
    Claim(
        id="network.nothing-of-ours",
        sentence="The sockets between host, zygote and init cannot be reached or fed with descriptors.",
        source="promise 32",
        attack=True,
    ),
    Claim(
        id="network.only-loopback",
        sentence="There is no interface but lo, and no interface, address or route can be made.",
        source="promise 33",
        attack=True,
    ),
    Claim(
        id="network.no-odd-sockets",
        sentence="Raw, packet, vsock, alg and other odd sockets, and netlink other than route, cannot be made.",
        source="promise 34; CVE-2026-31431",
        attack=True,
    ),
    Claim(
        id="network.no-other-sandboxes",
        sentence="One sandbox cannot reach servers of another, by port or by name.",
        source="promises 29, 31 and 74",
        attack=True,
    ),
)
