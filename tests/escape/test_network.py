"""Attacks on the network: the host's loopback, its sockets by path and name, and other sandboxes."""

import os
import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocell import Mount, Policy, Sandbox
from tests.escape.conftest import Inside, accepted, program, told


@pytest.fixture
def listener6() -> Iterator[socket.socket]:
    """Listen on the host's loopback of IPv6."""
    with socket.socket(socket.AF_INET6) as server:
        server.bind(("::1", 0))
        server.listen(8)
        server.settimeout(0)
        yield server


def unix_listener(name: str | bytes) -> socket.socket:
    """Listen on the host at a path, or at an abstract name."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(name)
    server.listen(8)
    server.settimeout(0)
    return server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder of the host that everybody may enter."""
    tmp_path.chmod(0o755)
    return tmp_path


def host_addresses() -> list[str]:
    """Return addresses of this machine other than its loopback, if it has any."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return []
        return [probe.getsockname()[0]]


# -- loopback and datagrams --------------------------------------------------------------------------------


@pytest.mark.claim("network.no-host-loopback")
def test_the_hosts_loopback_is_out_of_reach(
    inside: Inside, listener: socket.socket, listener6: socket.socket
) -> None:
    port, port6 = listener.getsockname()[1], listener6.getsockname()[1]
    found = inside(
        f"""
        import socket
        def reach(family, address):
            with socket.socket(family) as client:
                client.settimeout(2)
                client.connect(address)
                return "reached"
        four = ["127.0.0.1", "127.0.0.2", "0.0.0.0", "localhost", "127.1"]
        six = ["::1", "::", "::ffff:127.0.0.1"]
        tell([attempt(reach, socket.AF_INET, (name, {port})) for name in four]
             + [attempt(reach, socket.AF_INET6, (name, {port6})) for name in six]
             + [attempt(reach, socket.AF_INET6, ("::ffff:127.0.0.1", {port}))])
        """
    )

    assert found == ["ECONNREFUSED"] * 9
    assert not accepted(listener)
    assert not accepted(listener6)


@pytest.mark.claim("network.no-host-loopback")
def test_the_hosts_other_addresses_and_its_metadata_service_are_out_of_reach(
    inside: Inside,
) -> None:
    with socket.socket() as server:
        server.bind(("0.0.0.0", 0))  # so that it could be reached by any address of this machine
        server.listen(8)
        server.settimeout(0)
        port = server.getsockname()[1]
        found = inside(
            f"""
            import socket
            def reach(address):
                with socket.socket() as client:
                    client.settimeout(2)
                    client.connect(address)
                    return "reached"
            names = {host_addresses()!r} + ["169.254.169.254", "10.0.2.2", "172.17.0.1", "192.168.0.1", "8.8.8.8"]
            tell([attempt(reach, (name, port)) for name in names for port in ({port}, 80)])
            """
        )

        assert set(found) == {"ENETUNREACH"}
        assert not accepted(server)


@pytest.mark.twin("network.no-host-loopback")
def test_code_can_serve_itself_on_its_own_loopback(inside: Inside) -> None:
    found = inside(
        """
        import http.server, threading, urllib.request, socket
        class Six(http.server.HTTPServer):
            address_family = socket.AF_INET6
        def fetch(kind, host, shown):
            server = kind((host, 0), http.server.SimpleHTTPRequestHandler)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            with urllib.request.urlopen(f"http://{shown}:{server.server_address[1]}/hello.txt", timeout=5) as answer:
                return answer.read().decode()
        open("hello.txt", "w").write("hello")
        tell([fetch(http.server.HTTPServer, "127.0.0.1", "127.0.0.1"), fetch(Six, "::1", "[::1]"),
              fetch(http.server.HTTPServer, "localhost", "localhost")])
        """
    )

    assert found == ["hello", "hello", "hello"]


@pytest.mark.twin("network.no-host-loopback")
def test_asyncio_and_multiprocessing_talk_over_their_own_sockets(inside: Inside) -> None:
    found = inside(
        """
        import asyncio, multiprocessing, multiprocessing.connection, threading
        async def exchange():
            async def answer(reader, writer):
                writer.write((await reader.readline()).upper())
                writer.close()
            server = await asyncio.start_server(answer, "127.0.0.1", 0)
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello\\n")
            line = await reader.readline()
            server.close()
            return line.decode()
        with multiprocessing.connection.Listener("/tmp/listener") as server:
            threading.Thread(target=lambda: multiprocessing.connection.Client("/tmp/listener").send([1, 2])).start()
            with server.accept() as connection:
                received = connection.recv()
        with multiprocessing.get_context("fork").Manager() as manager:
            shared = manager.dict(a=1)
            shared["b"] = 2
            tell([asyncio.run(exchange()), received, dict(shared)])
        """
    )

    assert found == ["HELLO\n", [1, 2], {"a": 1, "b": 2}]


@pytest.mark.claim("network.no-datagrams")
def test_no_datagram_leaves_the_sandbox(inside: Inside) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("0.0.0.0", 0))  # so that it could be reached by any address of this machine
        server.settimeout(0)
        port = server.getsockname()[1]
        found = inside(
            f"""
            import socket
            def send(address, *options):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                    for option in options:
                        client.setsockopt(*option)
                    return client.sendto(b"x", address)
            tell([attempt(send, (name, {port})) for name in {host_addresses()!r} + ["8.8.8.8", "169.254.169.254"]]
                 + [attempt(send, ("255.255.255.255", {port}), (socket.SOL_SOCKET, socket.SO_BROADCAST, 1)),
                    attempt(send, ("224.0.0.1", {port})), attempt(send, ("127.0.0.1", {port}))])
            """
        )

        # To its own loopback it may send; nobody is there.
        assert set(found[:-1]) == {"ENETUNREACH"}
        assert found[-1] == 1
        with pytest.raises(BlockingIOError):
            server.recv(1)


@pytest.mark.claim("network.no-datagrams")
def test_names_are_not_resolved_and_that_is_said_at_once(inside: Inside) -> None:
    found = inside(
        """
        import socket, time
        started = time.monotonic()
        def resolve(name):
            try:
                return socket.getaddrinfo(name, 80)
            except socket.gaierror as error:
                return "gaierror"
        names = ["example.com", "metadata.google.internal", "a" * 60 + ".example.com", "host.docker.internal"]
        tell([[resolve(name) for name in names], time.monotonic() - started, open("/etc/resolv.conf").read()])
        """
    )

    assert found[0] == ["gaierror"] * 4
    assert found[1] < 2
    assert found[2] == ""


@pytest.mark.twin("network.no-datagrams")
def test_datagrams_and_names_of_its_own_work(inside: Inside) -> None:
    found = inside(
        """
        import socket
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
            server.bind(("127.0.0.1", 0))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.sendto(b"hello", server.getsockname())
            tell([server.recv(10).decode(), socket.gethostbyname("localhost"), socket.gethostname(),
                  socket.gethostbyname(socket.gethostname())])
        """
    )

    assert found == ["hello", "127.0.0.1", "protocell", "127.0.0.1"]


# -- unix sockets ------------------------------------------------------------------------------------------


# Every way in which a program can name a peer.
_REACH = """
    import socket, struct
    def reach(address):
        outcome = []
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET):
            with socket.socket(socket.AF_UNIX, kind) as client:
                outcome.append(attempt(client.connect, address))
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
            outcome += [attempt(client.sendto, b"x", address), attempt(client.sendmsg, [b"x"], [], 0, address)]
        return outcome
    """


@pytest.mark.claim("network.no-unix-sockets")
def test_sockets_of_the_host_by_abstract_name_are_out_of_reach(inside: Inside) -> None:
    name = f"\0protocell-{secrets.token_hex(8)}"
    with (
        unix_listener(name) as server,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams,
    ):
        datagrams.bind(f"{name}-datagrams")
        datagrams.settimeout(0)
        found = inside(
            f"{_REACH}\n    tell([reach({name!r}), reach({f'{name}-datagrams'!r}),"
            " open('/proc/net/unix').read()])"
        )

        assert set(found[0]) | set(found[1]) == {"ECONNREFUSED"}
        assert name[1:] not in found[2]
        assert not accepted(server)
        with pytest.raises(BlockingIOError):
            datagrams.recv(1)


@pytest.mark.claim("network.no-unix-sockets")
def test_sockets_of_the_host_by_path_are_out_of_reach(inside: Inside, folder: Path) -> None:
    path = folder / "socket"
    with unix_listener(str(path)) as server:
        path.chmod(0o777)
        found = inside(
            f"{_REACH}\n    tell([reach(path) for path in ({str(path)!r}, '/run/docker.sock',"
            f" '/run/dbus/system_bus_socket', '/proc/1/root{path}', '/dev/log')])"
        )

        assert {error for outcome in found for error in outcome} <= {"ENOENT", "EACCES"}
        assert not accepted(server)


@pytest.mark.claim("network.no-sockets-of-mounts")
def test_sockets_in_a_mounted_folder_lead_nowhere(inside: Inside, folder: Path) -> None:
    (folder / "deep").mkdir(mode=0o755)
    policy = Policy(mounts=[Mount(source=folder, target="/data")])
    with (
        unix_listener(str(folder / "socket")) as one,
        unix_listener(str(folder / "deep/er")) as two,
    ):
        (folder / "socket").chmod(0o777)
        (folder / "deep/er").chmod(0o777)
        os.link(folder / "socket", folder / "linked")
        found = inside(
            f"{_REACH}\n    tell([reach('/data/' + name) for name in ('socket', 'deep/er', 'linked')])",
            policy=policy,
        )

        assert {error for outcome in found for error in outcome} <= {
            "ECONNREFUSED",
            "EACCES",
            "ENOENT",
        }
        assert not accepted(one)
        assert not accepted(two)


@pytest.mark.claim("network.no-sockets-of-mounts")
@pytest.mark.parametrize("target", ["/data", "/home/user/data"])
def test_a_socket_that_is_made_later_in_a_mounted_folder_leads_nowhere(
    folder: Path, target: str
) -> None:
    policy = Policy(mounts=[Mount(source=folder, target=target)])
    with Sandbox(policy) as sandbox:
        sandbox.run_code(f"import os; os.listdir({target!r})")
        with unix_listener(str(folder / "socket")) as server:
            (folder / "socket").chmod(0o777)
            found = told(
                sandbox.run_code(program(f"{_REACH}\n    tell(reach({target + '/socket'!r}))"))
            )

            assert set(found) <= {"ECONNREFUSED", "EACCES", "ENOENT"}
            assert not accepted(server)


@pytest.mark.claim("network.no-sockets-of-mounts")
def test_a_pipe_with_a_name_in_a_mounted_folder_leads_nowhere(inside: Inside, folder: Path) -> None:
    os.mkfifo(folder / "pipe", 0o666)
    (folder / "pipe").chmod(0o666)
    reader = os.open(folder / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(folder / "pipe", os.O_WRONLY | os.O_NONBLOCK)
    try:
        os.write(writer, b"secret")
        found = inside(
            """
            def write():
                return os.write(os.open("/data/pipe", os.O_WRONLY | os.O_NONBLOCK), b"x")
            def read():
                return os.read(os.open("/data/pipe", os.O_RDONLY | os.O_NONBLOCK), 10).decode()
            def both():
                return os.read(os.open("/data/pipe", os.O_RDWR | os.O_NONBLOCK), 10).decode()
            tell([attempt(write), attempt(read), attempt(both)])
            """,
            policy=Policy(mounts=[Mount(source=folder, target="/data")]),
        )

        assert "secret" not in found
        assert os.read(reader, 100) == b"secret"
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.twin("network.no-unix-sockets")
@pytest.mark.twin("network.no-sockets-of-mounts")
def test_sockets_of_its_own_by_path_and_name_work(inside: Inside) -> None:
    found = inside(
        """
        import socket
        def exchange(address):
            with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
                server.bind(address); server.listen(1)
                client.connect(address); client.sendall(b"hello")
                return server.accept()[0].recv(10).decode()
        tell([exchange(address) for address in ("/home/user/socket", "/tmp/socket", "\\0mine")])
        """
    )

    assert found == ["hello"] * 3


# -- what is ours ------------------------------------------------------------------------------------------


@pytest.mark.claim("network.nothing-of-ours")
def test_the_sockets_between_host_zygote_and_init_are_out_of_reach(inside: Inside) -> None:
    found = inside(
        f"""{_REACH}
    channel = socket.socket(fileno=os.dup(3))
    own = os.fstat(3).st_ino
    listed = [line.split() for line in open("/proc/net/unix").read().splitlines()[1:]]
    tell([channel.getpeername(), channel.getsockname(), [entry[7:] for entry in listed],
          [attempt(channel.connect, name) for name in ("", "\\0")],
          [attempt(os.open, f"/proc/self/fd/3", os.O_RDWR), attempt(os.open, "/proc/1/fd/3", os.O_RDWR)],
          attempt(channel.listen, 1), attempt(socket.socket(socket.AF_UNIX).connect, "\\0")])
    """
    )

    peer, name, listed, connected, opened, listening, nameless = found
    assert (peer, name) == ("", "")
    assert not [names for names in listed if names]
    assert set(connected) <= {"EISCONN", "EINVAL", "ECONNREFUSED"}
    assert set(opened) <= {"ENXIO", "EACCES"}
    assert listening == "EINVAL"
    assert nameless in {"ECONNREFUSED", "EINVAL"}


@pytest.mark.claim("network.nothing-of-ours")
def test_descriptors_that_code_sends_to_the_host_do_not_arrive() -> None:
    with Sandbox() as sandbox:
        sandbox.run_code("1")
        before = len(os.listdir("/proc/self/fd"))
        code = """
            import socket, struct
            channel = socket.socket(fileno=os.dup(3))
            shown = {"formats": {"text/plain": "x"}, "files": {}, "display": None, "update": False}
            frame = json.dumps({"event": "result", "id": 2, "main": False, **shown}).encode()
            for _ in range(20):
                socket.send_fds(channel, [struct.pack("<I", len(frame)) + frame], [0, 1, 2])
            tell(1)
            """
        execution = sandbox.run_code(program(code))

        assert told(execution) == 1
        assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.twin("network.nothing-of-ours")
def test_sockets_without_a_name_work_between_the_codes_own_processes(inside: Inside) -> None:
    found = inside(
        """
        import socket
        ours, theirs = socket.socketpair()
        if os.fork() == 0:
            theirs.sendall(b"from the child"); os._exit(0)
        os.wait()
        tell(ours.recv(100).decode())
        """
    )

    assert found == "from the child"


# -- interfaces and families -------------------------------------------------------------------------------


@pytest.mark.claim("network.only-loopback")
def test_there_is_no_interface_but_loopback_and_none_can_be_made(inside: Inside) -> None:
    found = inside(
        """
        import fcntl, socket, struct
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        def up(name):
            answer = fcntl.ioctl(udp, 0x8913, struct.pack("16sh22x", name.encode(), 0))  # SIOCGIFFLAGS
            return struct.unpack("16sh22x", answer)[1] & 1
        def netlink(kind, body=b""):
            with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as route:
                route.bind((0, 0))
                # nlmsghdr: length, type, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, sequence, port
                route.send(struct.pack("=IHHII", 16 + len(body), kind, 0x405, 1, 0) + body)
                answer = route.recv(4096)
                number = struct.unpack_from("=i", answer, 16)[0]
                if number:
                    raise OSError(-number, "netlink")
        link = struct.pack("=BxHiII", 0, 0, 1, 0, 0xFFFFFFFF)
        address = struct.pack("=BBBBI", 2, 24, 0, 0, 1) + struct.pack("=HH4s", 8, 2, bytes([10, 0, 0, 1]))
        tell([[name for _, name in socket.if_nameindex() if up(name)], socket.if_nameindex(),
              len(open("/proc/net/route").read().splitlines()), open("/proc/net/dev").read().count(":"),
              [attempt(netlink, 16, link), attempt(netlink, 20, address), attempt(netlink, 24, bytes(12))],
              [attempt(fcntl.ioctl, udp, request, struct.pack("16sh22x", b"lo", 0))
               for request in (0x8914, 0x8916, 0x890B)],
              attempt(os.open, "/dev/net/tun", os.O_RDWR)])
        """
    )

    up, listed, routes, devices, made, controlled, tunnel = found
    assert up == ["lo"]
    assert [1, "lo"] in listed
    assert len(listed) == devices
    assert routes <= 1  # the headline
    assert made == ["EPERM"] * 3
    assert set(controlled) <= {"EPERM", "EACCES"}
    assert tunnel == "ENOENT"


@pytest.mark.twin("network.only-loopback")
def test_loopback_and_its_addresses_can_be_listed(inside: Inside) -> None:
    found = inside(
        """
        import socket
        tell([dict((name, index) for index, name in socket.if_nameindex())["lo"], socket.if_nametoindex("lo"),
              "lo:" in open("/proc/net/dev").read()])
        """
    )

    assert found == [1, 1, True]


@pytest.mark.claim("network.no-odd-sockets")
def test_raw_packet_and_odd_sockets_cannot_be_made(inside: Inside) -> None:
    found = inside(
        """
        STREAM, DGRAM, RAW, RDM, SEQPACKET, DCCP, PACKET = 1, 2, 3, 4, 5, 6, 10
        INET, INET6, NETLINK = 2, 10, 16
        families = [number for number in range(0, 64) if number not in (1, INET, INET6, NETLINK)]
        tell({
            "families": sorted({attempt(call, "socket", family | high, kind, 0)
                                for family in families for kind in (STREAM, DGRAM, RAW) for high in (0, 1 << 32)}),
            "pairs": sorted({attempt(call, "socketpair", family, STREAM, 0, ctypes.create_string_buffer(8))
                             for family in families}),
            "types": sorted({attempt(call, "socket", family, kind | flags, protocol)
                             for family in (INET, INET6) for kind in (RAW, RDM, DCCP, PACKET)
                             for flags in (0, 0o2000000, 1 << 32) for protocol in (0, 1, 255)}),
            "protocols": sorted({attempt(call, "socket", family, kind, protocol)
                                 for family in (INET, INET6) for kind in (STREAM, DGRAM, SEQPACKET)
                                 for protocol in (1, 2, 33, 58, 115, 132, 136, 256, 262)}),
            "netlink": sorted({attempt(call, "socket", NETLINK, kind, protocol | high) for kind in (DGRAM, RAW)
                               for protocol in range(1, 32) for high in (0, 1 << 32)}),
        })
        """
    )

    assert found == {
        "families": ["EAFNOSUPPORT"],
        "pairs": ["EAFNOSUPPORT"],
        "types": ["EPERM"],
        "protocols": ["EPROTONOSUPPORT"],
        "netlink": ["EPERM"],
    }


@pytest.mark.twin("network.no-odd-sockets")
def test_ordinary_sockets_can_be_made(inside: Inside) -> None:
    found = inside(
        """
        import socket
        kinds = [(socket.AF_INET, socket.SOCK_STREAM, 0), (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP),
                 (socket.AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_UDP), (socket.AF_UNIX, socket.SOCK_SEQPACKET, 0),
                 (socket.AF_NETLINK, socket.SOCK_RAW, 0)]
        tell([socket.socket(*kind).fileno() > 2 for kind in kinds])
        """
    )

    assert found == [True] * 5


# -- other sandboxes ---------------------------------------------------------------------------------------


_SERVER = """
    import socket, threading
    served = []
    def serve(family, address):
        server = socket.socket(family)
        server.bind(address)
        server.listen(8)
        def loop():
            while True:
                connection, _ = server.accept()
                served.append(1)
                connection.sendall(b"served"); connection.close()
        threading.Thread(target=loop, daemon=True).start()
        return server
    servers = [serve(socket.AF_INET, ("127.0.0.1", PORT)), serve(socket.AF_INET6, ("::1", PORT)),
               serve(socket.AF_UNIX, "\\0between"), serve(socket.AF_UNIX, "/tmp/between")]
    tell(len(servers))
    """
_CLIENT = """
    import socket
    def reach(family, address):
        with socket.socket(family) as client:
            client.settimeout(5)
            client.connect(address)
            return client.recv(10).decode()
    tell([attempt(reach, socket.AF_INET, ("127.0.0.1", PORT)), attempt(reach, socket.AF_INET6, ("::1", PORT)),
          attempt(reach, socket.AF_UNIX, "\\0between"), attempt(reach, socket.AF_UNIX, "/tmp/between")])
    """


def with_port(code: str) -> str:
    """Return a program about one port; which one does not matter, since each sandbox has all of them."""
    return program(f"    PORT = 45678\n{code}")


@pytest.mark.claim("network.no-other-sandboxes")
def test_servers_in_one_sandbox_cannot_be_reached_from_another() -> None:
    with Sandbox() as one, Sandbox() as other:
        assert told(one.run_code(with_port(_SERVER))) == 4

        found = told(other.run_code(with_port(_CLIENT)))

        assert found == ["ECONNREFUSED", "ECONNREFUSED", "ECONNREFUSED", "ENOENT"]
        assert one.run_code("len(served)").text == "0"
        # The same port and names are free there.
        assert told(other.run_code(with_port(_SERVER))) == 4


@pytest.mark.twin("network.no-other-sandboxes")
def test_servers_in_one_sandbox_are_reached_in_a_later_call() -> None:
    with Sandbox() as sandbox:
        told(sandbox.run_code(with_port(_SERVER)))

        assert told(sandbox.run_code(with_port(_CLIENT))) == ["served"] * 4
        assert sandbox.run_code("len(served)").text == "4"


@pytest.mark.claim("network.no-datagrams")
def test_a_connection_that_cannot_be_made_fails_at_once(inside: Inside) -> None:
    started = time.monotonic()
    inside(
        """
        import urllib.error, urllib.request
        try:
            urllib.request.urlopen("http://example.com/", timeout=15)
        except urllib.error.URLError as error:
            tell(str(error.reason))
        """
    )

    assert time.monotonic() - started < 10
