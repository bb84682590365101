"""Attacks by the line of tool calls: what is sent over it, when, by whom, and which tools it asks for.

The far end of the line is a socket in the code's own process, so whatever comes over it is an attacker's. What must
hold: the host stays bounded, a lie costs its own execution alone, and what may be called is decided where the code
cannot reach. Tools need the kernel's isolation, so there is nothing to attack with ``isolation="process"``.
"""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from protocell import Limits, Policy, Sandbox
from protocell._broker.runtime import of_this_process
from protocell.tools import Approval, ApprovalRequest, ToolLimits, Tools, Toolset
from tests.escape.conftest import program, told
from tests.escape.tool_attacks import Shop, attack

of_this_process()  # the one loop of the blocking face, which stays until the process ends


@pytest.fixture
def shop() -> Shop:
    return Shop()


def tools_of(shop: Shop) -> Toolset:
    tools = Toolset.of(shop.order, shop.secret, shop.pay, shop.stay, name="shop")
    return tools.permit({"shop/secret": "deny"})


@pytest.fixture
def toolset(shop: Shop) -> Toolset:
    return tools_of(shop)


@pytest.fixture
def neighbour(toolset: Toolset) -> Iterator[Sandbox]:
    """A sandbox with the same tools, in which an honest program has run and will again."""
    with Sandbox(tools=toolset) as sandbox:
        assert sandbox.run_code("order(3)['total']").text == "30"
        yield sandbox
        assert sandbox.run_code("order(4)['total']").text == "40"


@pytest.fixture(scope="module")
def two() -> Iterator[tuple[Sandbox, Sandbox]]:
    """Two with the same tools, for attacks that cost an execution and leave its sandbox as it was."""
    toolset = tools_of(Shop())
    with Sandbox(tools=toolset) as sandbox, Sandbox(tools=toolset) as neighbour:
        assert [each.run_code("order(3)['total']").text for each in (sandbox, neighbour)] == [
            "30"
        ] * 2
        yield sandbox, neighbour


# -- what is no call ----------------------------------------------------------------------------------

FORGED = {
    "a huge length": "line.sendall(HEAD.pack(0xffffffff, 1, b'c'))",
    "a length beyond what arguments may have": "line.sendall(HEAD.pack(1 << 28, 1, b'c'))",
    "an unknown kind": "line.sendall(frame(1, b'z', b'{}'))",
    "a value": "line.sendall(frame(1, b'v', b'1'))",
    "a value for a call that is on its way": (
        "line.sendall(request(1, 'shop/stay', name='x') + frame(1, b'v', b'1'))"
    ),
    "an error": 'line.sendall(frame(1, b\'e\', b\'{"kind":"tool","message":""}\'))',
    "a number twice": "line.sendall(request(5, number=1) * 2)",
    "a number that goes back": "line.sendall(request(6, number=1) + request(5, number=1))",
    "number nought": "line.sendall(request(0, number=1))",
    "a cancel with more in it": "line.sendall(frame(1, b'x', b'{}'))",
    "no JSON": "line.sendall(frame(1, b'c', b'what'))",
    "nothing": "line.sendall(frame(1, b'c', b''))",
    "no ASCII": "line.sendall(frame(1, b'c', b'\\xff\\xfe'))",
    "deep lists": "line.sendall(frame(1, b'c', b'[' * 100_000))",
    "deep objects": "line.sendall(frame(1, b'c', b'{\"a\":' * 10_000 + b'1' + b'}' * 10_000))",
    "a huge integer": (
        'line.sendall(frame(1, b\'c\', b\'{"tool":"shop/order","raw":false,"arguments":{"number":\''
        " + b'9' * 100_000 + b'}}'))"
    ),
    "a list": "line.sendall(frame(1, b'c', b'[1]'))",
    "no tool": 'line.sendall(frame(1, b"c", b\'{"arguments":{},"raw":false}\'))',
    "one field more": (
        'line.sendall(frame(1, b"c", b\'{"tool":"shop/order","arguments":{},"raw":false,"as":"root"}\'))'
    ),
    "a tool that is no text": (
        'line.sendall(frame(1, b"c", b\'{"tool":["shop/order"],"arguments":{},"raw":false}\'))'
    ),
    "arguments in a list": (
        'line.sendall(frame(1, b"c", b\'{"tool":"shop/order","arguments":[1],"raw":false}\'))'
    ),
    "arguments whose names are numbers": "line.sendall(request(1, **{'$dict': [[1, 2]]}))",
    "raw as a number": "line.sendall(request(1, raw=1, number=1))",
    "NaN": "line.sendall(request(1, number=float('nan')))",
    "infinity": (
        'line.sendall(frame(1, b"c", b\'{"tool":"x","arguments":{"a":1e999},"raw":false}\'))'
    ),
    "an unknown tag": "line.sendall(request(1, number={'$object': 'os.system'}))",
    "a tag that lies about bytes": "line.sendall(request(1, number={'$bytes': '?'}))",
    "a tag that lies about a number": "line.sendall(request(1, number={'$int': '0x' + 'f' * 9000}))",
    "a number that is small until it is looked at": (
        "line.sendall(request(1, number={'$decimal': '1E+999999999'}))"
    ),
    "a set of lists": "line.sendall(request(1, number={'$set': [[1]]}))",
    "a set whose hashes were chosen to be equal": (
        "line.sendall(request(1, number={'$set': [n * (2**61 - 1) for n in range(3000)]}))"
    ),
    "a date that is none": "line.sendall(request(1, number={'$datetime': '0000-00-00'}))",
}


@pytest.mark.claim("tools.forged-calls")
@pytest.mark.parametrize("code", FORGED.values(), ids=FORGED)
def test_what_is_no_call_ends_the_line_of_its_own_execution(
    code: str, two: tuple[Sandbox, Sandbox]
) -> None:
    sandbox, _ = two
    execution = sandbox.run_code(attack(f"{code}\ntell(outcome(order, 1))"), timeout=20)

    assert told(execution) == "ToolTransportError"
    assert execution.status == "ok"
    last = execution.tool_calls[-1]
    assert (last.outcome, last.kind, last.server, last.tool) == (
        "error",
        "transport",
        "",
        "",
    )
    assert last.message.startswith("the code broke the line that its calls go over: ")
    assert last.message.isprintable()
    assert len(last.message) < 300
    assert [each.run_code("order(2)['total']").text for each in two] == ["20", "20"]


@pytest.mark.claim("tools.forged-calls")
def test_half_a_call_holds_up_its_own_execution_alone(toolset: Toolset, neighbour: Sandbox) -> None:
    with Sandbox(tools=toolset) as sandbox:
        half = sandbox.run_code(
            attack("line.sendall(HEAD.pack(10_000, 1, b'c') + b'{')\norder(1)"),
            timeout=1,
        )
        after = sandbox.run_code("order(2)['total']")

    assert half.status == "timeout"
    assert after.text == "20"


@pytest.mark.claim("tools.forged-calls")
def test_the_log_can_be_shown_whatever_tools_the_code_asked_for(toolset: Toolset) -> None:
    code = """
for name in ("\\x1b[2J\\ud800/\\n\\u202e", "shop/\\r\\x07", "\\ud800" * 300):
    try: call_tool(name, {name: name})
    except ToolError: pass
"""
    with Sandbox(tools=toolset) as sandbox:
        execution = sandbox.run_code(code)

    assert execution.error is None
    assert len(execution.tool_calls) == 3
    for call in execution.tool_calls:
        assert str(call).isprintable()
        assert str(call).encode()


@pytest.mark.claim("tools.forged-calls")
def test_descriptors_that_are_sent_along_reach_nobody(toolset: Toolset, shop: Shop) -> None:
    code = """
    some = [os.open("/dev/null", os.O_RDONLY) for _ in range(100)]
    told = attempt(socket.send_fds, line, [request(1, number=8)], some)
    tell(told if isinstance(told, str) else answer()[1])
    """
    with Sandbox(tools=toolset) as sandbox:
        execution = sandbox.run_code(attack(code))
        # That the host has not one more is what every test here is looked at for (tests/leftovers.py).
        assert told(execution) in {"v", "EPERM", "EACCES"}
        assert sandbox.run_code("order(2)['total']").text == "20"


@pytest.mark.claim("tools.forged-calls")
@pytest.mark.parametrize(
    "code",
    [
        "line.shutdown(socket.SHUT_WR)",
        "line.shutdown(socket.SHUT_RD)",
        "line.shutdown(socket.SHUT_RDWR)",
        "the_line()._line.close()",
        "os.close(the_line()._line.fileno())",
        "os.dup2(os.open('/dev/null', os.O_RDWR), the_line()._line.fileno())",
        "a, b = socket.socketpair(); os.dup2(a.fileno(), the_line()._line.fileno()); b.close()",
        "spoil(_sending=None, _reading=None)",
        "spoil(_count=-5)",
        "spoil(_replies=7)",
        "the_line()._replies._waiting = 7",
        "the_line().__dict__.clear()",
        "import sys; [sys.modules.pop(name) for name in [*sys.modules] if 'tool' in name]",
        """
for box in [each for each in gc.get_objects() if type(each).__name__ == 'Toolbox']: box.__dict__.clear()
""",
    ],
)
def test_a_guest_that_takes_our_end_over_harms_only_itself(
    code: str, toolset: Toolset, neighbour: Sandbox
) -> None:
    with Sandbox(tools=toolset) as sandbox:
        broken = sandbox.run_code(
            attack(f"{code}\ntell('spoilt')\ntry: order(1)\nexcept Exception: pass"), timeout=2
        )
        sandbox.run_code("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", timeout=2)
        # Whoever owns the interpreter owns what it says; a fresh one is the way back.
        last = [sandbox.run_code("order(2)['total']", timeout=10).text for _ in range(2)][-1]

    assert told(broken) == "spoilt"
    assert last == "20"


@pytest.mark.twin("tools.forged-calls")
def test_a_call_that_is_one_is_answered_whoever_writes_it(toolset: Toolset, shop: Shop) -> None:
    code = """
    line.sendall(request(1, number=7))
    tell(answer())
    """
    with Sandbox(tools=toolset) as sandbox:
        execution = sandbox.run_code(attack(code))

    assert told(execution) == [1, "v", {"number": 7, "total": 70}]
    assert shop.orders == [7]
    assert [(call.number, call.tool, call.outcome) for call in execution.tool_calls] == [
        (1, "order", "ok")
    ]


@pytest.mark.twin("tools.forged-calls")
def test_keys_that_stand_twice_count_once_for_everybody(toolset: Toolset, shop: Shop) -> None:
    body = b'{"tool":"shop/secret","tool":"shop/order","arguments":{"number":1,"number":2},"raw":false}'
    with Sandbox(tools=toolset) as sandbox:
        execution = sandbox.run_code(
            attack(f"line.sendall(frame(1, b'c', {body!r}))\ntell(answer())")
        )

    assert told(execution) == [1, "v", {"number": 2, "total": 20}]
    (logged,) = execution.tool_calls
    assert (logged.tool, logged.arguments, shop.orders) == ("order", {"number": 2}, [2])


# -- when it is too late ------------------------------------------------------------------------------


@pytest.mark.claim("tools.bound-to-their-execution")
def test_a_socket_that_was_saved_leads_nowhere_in_the_next_execution(
    toolset: Toolset, shop: Shop
) -> None:
    code = """
    told = attempt(saved.sendall, (HEAD.pack(80, 99, b"c")) + b"x" * 80)
    tell([told, attempt(saved.recv, 1) == b""])
    """
    with Sandbox(tools=toolset) as sandbox:
        sandbox.run_code(attack("order(1)\nsaved = line.dup()"))
        late = sandbox.run_code(attack(code))
        assert sandbox.run_code("order(2)['total']").text == "20"

    assert told(late) == ["EPIPE", True]
    assert (shop.orders, list(late.tool_calls)) == ([1, 2], [])


@pytest.mark.claim("tools.bound-to-their-execution")
def test_a_thread_of_an_earlier_execution_is_told_that_it_is_too_late(
    toolset: Toolset, shop: Shop
) -> None:
    keep = """
    order(1)
    now, seen = threading.Event(), []
    def late(mine=the_line()):
        now.wait()
        for _ in range(3): seen.append(outcome(lambda: mine.wait(mine.begin("shop/order", {"number": 9}))))
    thread = threading.Thread(target=late, daemon=True)
    thread.start()
    """
    with Sandbox(tools=toolset) as sandbox:
        sandbox.run_code(attack(keep))
        late = sandbox.run_code("now.set(); thread.join(); seen")

    assert late.text == "['ToolTransportError', 'ToolTransportError', 'ToolTransportError']"
    assert (shop.orders, list(late.tool_calls)) == ([1], [])


@pytest.mark.claim("tools.bound-to-their-execution")
def test_a_child_that_was_forked_in_an_earlier_execution_has_no_line_either(
    toolset: Toolset, shop: Shop
) -> None:
    keep = """
    reader, writer = os.pipe()
    back, forth = os.pipe()
    if os.fork() == 0:
        os.read(reader, 1)
        told = [attempt(line.sendall, request(9, number=9)), outcome(order, 9)]
        os.write(forth, json.dumps(told).encode())
        os._exit(0)
    """
    late = "os.write(writer, b'x'); tell(json.loads(os.read(back, 1000)))"
    with Sandbox(tools=toolset) as sandbox:
        sandbox.run_code(attack(keep))
        execution = sandbox.run_code(program(late))

    assert told(execution) == ["EPIPE", "ToolTransportError"]
    assert (shop.orders, list(execution.tool_calls)) == ([], [])


@pytest.mark.claim("tools.bound-to-their-execution")
@pytest.mark.parametrize(
    "ending", ["while True: pass", "import os; os.kill(os.getpid(), 9)", "1 / 0"]
)
def test_however_it_ends_what_it_had_called_ends_too_and_nothing_is_called_any_more(
    ending: str, toolset: Toolset, neighbour: Sandbox, shop: Shop
) -> None:
    code = f"""
import threading
def go_on():
    while True:
        try: order(1)
        except Exception: pass
threading.Thread(target=go_on, daemon=True).start()
for name in "ab":
    threading.Thread(target=stay, args=(name,), daemon=True).start()
for _ in range(20): order(0)  # until both are on their way
{ending}
"""
    tools = Tools(toolset=toolset, limits=ToolLimits(call_seconds=1.0))
    with Sandbox(Policy(limits=Limits(wall_seconds=1)), tools=tools) as sandbox:
        execution = sandbox.run_code(code)
        made = shop.orders.count(1)
        for _ in range(20):
            neighbour.run_code("order(3)")

        assert execution.status in {"timeout", "killed", "error"}
        assert sorted(shop.ended) == ["a", "b"]
        assert shop.orders.count(1) == made


@pytest.mark.claim("tools.bound-to-their-execution")
def test_a_line_cannot_be_handed_to_another_sandbox(toolset: Toolset, neighbour: Sandbox) -> None:
    offer = """
    servers = [socket.socket(socket.AF_UNIX) for _ in range(2)]
    for server, name in zip(servers, ("offer", chr(0) + "offer")):
        server.bind(name)
        server.listen()
    """
    take = """
    import socket
    names = (os.path.abspath("offer"), chr(0) + "offer")
    tell([attempt(socket.socket(socket.AF_UNIX).connect, name) for name in names])
    """
    with Sandbox(tools=toolset) as sandbox:
        sandbox.run_code(attack(offer))
        assert told(sandbox.run_code(program(take))) == [None, None]
        assert told(neighbour.run_code(program(take))) == ["ENOENT", "ECONNREFUSED"]


@pytest.mark.claim("tools.bound-to-their-execution")
def test_a_line_that_another_context_was_handed_ends_with_its_own_execution(
    toolset: Toolset, shop: Shop
) -> None:
    listen = """
    import socket
    server = socket.socket(socket.AF_UNIX)
    server.bind("offer")
    server.listen()
    """
    give = """
    client = socket.socket(socket.AF_UNIX)
    tell(attempt(client.connect, "offer"))
    socket.send_fds(client, [b"x"], [line.fileno()])
    """
    use = """
    theirs = socket.socket(fileno=socket.recv_fds(server.accept()[0], 1, 1)[1][0])
    tell([attempt(theirs.sendall, request(9, number=9)), attempt(theirs.recv, 1) == b""])
    """
    with Sandbox(tools=toolset) as sandbox:
        further = sandbox.create_code_context()
        further.run_code(program(listen))
        # One workspace, and so a name of a socket in it, is what contexts of one sandbox share.
        assert told(sandbox.run_code(attack(give))) is None
        late = further.run_code(attack(use))

    assert told(late) == ["EPIPE", True]
    assert (shop.orders, list(late.tool_calls)) == ([], [])


@pytest.mark.twin("tools.bound-to-their-execution")
def test_a_thread_that_calls_while_its_execution_runs_is_answered(
    toolset: Toolset, shop: Shop
) -> None:
    code = """
import threading
seen = []
threads = [threading.Thread(target=lambda n=n: seen.append(order(n)["total"])) for n in (1, 2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
sorted(seen)
"""
    with Sandbox(tools=toolset) as sandbox:
        assert [sandbox.run_code(code).text for _ in range(2)] == [
            "[10, 20]",
            "[10, 20]",
        ]


# -- who decides --------------------------------------------------------------------------------------

DENIED = {
    "by its name": "shop.secret()",
    "by the name alone": "secret()",
    "raw": "shop.secret.raw()",
    "call_tool": "call_tool('shop/secret')",
    "call_tool with a dict": "call_tool('shop/secret', {})",
    "awaited": "await shop.secret()",
    "a card that was changed": """
card = next(c.cell_contents for c in order.__closure__ if isinstance(c.cell_contents, dict))
card.update(id='shop/secret', parameters=[])
order()
""",
    "a toolbox that was changed": """
import gc
box = next(each for each in gc.get_objects() if type(each).__name__ == 'Toolbox')
for card in box._cards.values(): card.update(id='shop/secret', parameters=[])
getattr(shop, 'order')()
""",
    "the line itself": "the_line().wait(the_line().begin('shop/secret', {}))",
    "the line itself, raw": "the_line().wait(the_line().begin('shop/secret', {}, raw=True))",
    # By a name that the code makes: what it writes down is looked at before it runs, which is no boundary.
    "with arguments that it has not": "call_tool('shop' + '/secret', {'permission': 'allow', 'force': True})",
}


@pytest.mark.claim("tools.host-decides")
@pytest.mark.parametrize("code", DENIED.values(), ids=DENIED)
def test_a_tool_that_is_denied_is_called_by_no_other_way(
    code: str, toolset: Toolset, shop: Shop
) -> None:
    with Sandbox(tools=toolset) as sandbox:
        execution = sandbox.run_code(attack("") + code)

    assert shop.secrets == 0
    assert execution.error is not None
    assert execution.error.name in {"ToolDeniedError", "ToolValidationError"}
    assert [(call.tool, call.outcome) for call in execution.tool_calls] == [("secret", "error")]


SPELLINGS = (
    *(
        "shop.secret",
        "SHOP/SECRET",
        "shop/secret ",
        "shop/secret\0",
        "shop//secret",
        "/shop/secret",
    ),
    *("shop/../shop/secret", "shop%2fsecret", "\uff53hop/secret", "secret", "shop/s*", "*", ""),
    "shop/" + "x" * 295 + "/../secret",
)


@pytest.mark.claim("tools.host-decides")
def test_a_tool_that_is_denied_is_called_by_no_other_spelling(toolset: Toolset, shop: Shop) -> None:
    code = f"tell([outcome(call_tool, name) for name in {SPELLINGS!r}])"
    with Sandbox(tools=toolset) as sandbox:
        execution = sandbox.run_code(attack(code))

    assert shop.secrets == 0
    assert dict(zip(SPELLINGS, told(execution), strict=True)) == dict.fromkeys(
        SPELLINGS, "ToolNotFoundError"
    )
    assert [call.kind for call in execution.tool_calls] == ["not_found"] * len(SPELLINGS)


@pytest.mark.claim("tools.host-decides")
@pytest.mark.parametrize(
    "change",
    [
        lambda tools: tools.rename({"shop/secret": "order_all"}),
        lambda tools: tools.prefix("my_"),
        lambda tools: tools + Toolset.of(print, name="other"),
        lambda tools: tools.filter("shop/*"),
    ],
    ids=["renamed", "prefixed", "added to", "filtered"],
)
def test_a_rule_goes_with_its_tool_whatever_the_tool_is_called(
    change: Any, toolset: Toolset, shop: Shop
) -> None:
    code = """
    seen = [outcome(function) for function in shop]
    names = ("secret", "my_secret", "order_all")
    tell([*seen, *(outcome(call_tool, f"shop/{name}") for name in names)])
    """
    with Sandbox(tools=change(toolset)) as sandbox:
        kinds = told(sandbox.run_code(attack(code)))

    assert shop.secrets == 0
    assert "ToolDeniedError" in kinds
    assert "the secret" not in kinds


@pytest.mark.claim("tools.host-decides")
@pytest.mark.parametrize(
    "numbers",
    ["range(1, 9)", "[4, 5, 6]", "[1, 2, 0xffffffff]", "[1000, 2000, 3000, 4000]"],
)
def test_a_budget_is_counted_by_the_host(numbers: str, toolset: Toolset, shop: Shop) -> None:
    code = f"""
    numbers = [*{numbers}]
    line.sendall(b"".join(request(number, number=number) for number in numbers))
    tell([answer()[1] for _ in numbers])
    """
    tools = Tools(toolset=toolset, limits=ToolLimits(calls=3))
    with Sandbox(tools=tools) as sandbox:
        kinds = told(sandbox.run_code(attack(code)))

    assert len(shop.orders) == 3
    assert kinds.count("v") == 3


@pytest.mark.claim("tools.host-decides")
def test_arguments_are_checked_by_the_host_whatever_the_guest_says_of_them(
    toolset: Toolset, shop: Shop
) -> None:
    code = """
    line.sendall(b"".join([
        request(1, number="seven"), request(2, number=1, more=2), request(3), request(4, number=[1]),
        request(5, "shop/pay", to={"$bytes": "/w=="}), request(6, "shop/pay", to="x", cents=1.5),
    ]))
    answers = [answer() for _ in range(6)]
    tell([[kind, told["kind"]] for _, kind, told in sorted(answers)])
    """
    with Sandbox(tools=toolset) as sandbox:
        assert told(sandbox.run_code(attack(code))) == [["e", "validation"]] * 6

    assert (shop.orders, shop.paid) == ([], [])


@pytest.mark.twin("tools.host-decides")
def test_the_tool_beside_the_denied_one_is_called_in_all_these_ways(
    toolset: Toolset, shop: Shop
) -> None:
    code = """
    tell([
        shop.order(1)["total"], order(1)["total"], shop.order.raw(1)["total"],
        call_tool("shop/order", {"number": 1})["total"],
        the_line().wait(the_line().begin("shop/order", {"number": 1}))["total"],
    ])
    """
    with Sandbox(tools=toolset) as sandbox:
        assert told(sandbox.run_code(attack(code))) == [10] * 5

    assert shop.orders == [1] * 5


# -- what was approved --------------------------------------------------------------------------------


@dataclass
class Person:
    """Is asked, and remembers."""

    seen: list[ApprovalRequest] = field(default_factory=list)
    reply: Approval = field(default_factory=lambda: Approval(allowed=True))
    go_on: threading.Event | None = None

    async def decide(self, request: ApprovalRequest) -> Approval:
        self.seen.append(request)
        if self.go_on is not None:
            await asyncio.to_thread(self.go_on.wait, 30)
        return self.reply


def asking(toolset: Toolset, person: Person, rule: Any = "ask") -> Tools:
    return Tools(toolset=toolset.permit({"shop/pay": rule}), approve=person.decide)


@pytest.mark.claim("tools.approved-is-what-is-called")
def test_arguments_that_change_inside_while_somebody_decides_are_not_what_is_called(
    toolset: Toolset, shop: Shop
) -> None:
    person = Person(go_on=threading.Event())
    # The second call is made when the first one is asked about: then the person may decide.
    code = """
    tags = ["books"]
    thread = threading.Thread(target=lambda: shop.pay("ann", 5, tags))
    thread.start()
    while not on_their_way(): pass
    tags[:] = ["everything"]
    release()
    thread.join()
    """

    async def release() -> None:
        """Let the person decide."""
        while not person.seen:  # noqa: ASYNC110 - another call of the same loop brings it
            await asyncio.sleep(0)
        assert person.go_on is not None
        person.go_on.set()

    more = toolset + Toolset.of(release, name="test")
    with Sandbox(tools=asking(more, person)) as sandbox:
        execution = sandbox.run_code(attack(code))

    assert execution.status == "ok", execution.error
    assert [request.arguments for request in person.seen] == [
        {"to": "ann", "cents": 5, "tags": ["books"]}
    ]
    assert shop.paid == [("ann", 5, ["books"])]


ODD_SPELLINGS = {
    "bytes for text": "request(1, 'shop/pay', to={'$bytes': 'bWFsbG9yeQ=='})",
    "text for a number": "request(1, 'shop/pay', to='ann', cents='666')",
    "a float for a number": "request(1, 'shop/pay', to='ann', cents=666.0)",
    "a Decimal for a number": "request(1, 'shop/pay', to='ann', cents={'$decimal': '666'})",
    "a large number's tag": "request(1, 'shop/pay', to='ann', cents={'$int': '0x29a'})",
    "a tuple for a list": "request(1, 'shop/pay', to='ann', tags={'$tuple': ['admin']})",
    "a set for a list": "request(1, 'shop/pay', to='ann', tags={'$set': ['admin']})",
    "bytes in a list": "request(1, 'shop/pay', to='ann', tags=[{'$bytes': 'YWRtaW4='}])",
    "as itself": "request(1, 'shop/pay', to='mallory')",
}


def _refused(arguments: Any) -> bool:
    is_bad = arguments["to"] == "mallory" or arguments.get("cents") == 666
    return not (is_bad or arguments.get("tags") == ["admin"])


@pytest.mark.claim("tools.approved-is-what-is-called")
@pytest.mark.parametrize("code", ODD_SPELLINGS.values(), ids=ODD_SPELLINGS)
def test_a_rule_sees_the_arguments_that_the_function_would_get(
    code: str, toolset: Toolset, shop: Shop
) -> None:
    with Sandbox(tools=toolset.permit({"shop/pay": _refused})) as sandbox:
        execution = sandbox.run_code(attack(f"line.sendall({code})\ntell(answer()[2]['kind'])"))

    assert shop.paid == []
    assert told(execution) in {"denied", "validation"}


@pytest.mark.claim("tools.approved-is-what-is-called")
def test_who_is_asked_sees_the_arguments_that_the_function_would_get(
    toolset: Toolset, shop: Shop
) -> None:
    person = Person()
    code = "line.sendall(request(1, 'shop/pay', to={'$bytes': 'YW5u'}, cents='7'))\nanswer()"
    with Sandbox(tools=asking(toolset, person)) as sandbox:
        sandbox.run_code(attack(code))

    assert [request.arguments for request in person.seen] == [{"to": "ann", "cents": 7}]
    assert shop.paid == [("ann", 7, None)]


@pytest.mark.claim("tools.approved-is-what-is-called")
def test_an_approval_is_not_there_for_the_next_execution_nor_in_a_branch(
    toolset: Toolset, shop: Shop
) -> None:
    person = Person()
    tools = asking(toolset, person, "ask_once")
    with Sandbox(tools=tools, checkpoints=True) as sandbox:
        sandbox.run_code("pay('ann', 1), pay('ann', 2)")
        sandbox.run_code("pay('ann', 3)")
        (branch,) = sandbox.context.fork(1)
        branch.run_code("pay('ann', 4)")
        person.reply = Approval(allowed=False)
        refused = sandbox.run_code("pay('ann', 5)")

    assert [request.arguments["cents"] for request in person.seen] == [1, 3, 4, 5]
    assert refused.error is not None
    assert refused.error.name == "ToolDeniedError"
    assert [cents for _, cents, _ in shop.paid] == [1, 2, 3, 4]


@pytest.mark.claim("tools.approved-is-what-is-called")
def test_an_approval_of_one_tool_is_none_of_another(toolset: Toolset, shop: Shop) -> None:
    person = Person()
    tools = Tools(
        toolset=toolset.permit({"shop/pay": "ask_once", "shop/order": "ask_once"}),
        approve=person.decide,
    )
    with Sandbox(tools=tools) as sandbox:
        sandbox.run_code("pay('ann', 1); order(1); pay('ann', 2)")

    assert [request.tool for request in person.seen] == ["shop/pay", "shop/order"]


@pytest.mark.claim("tools.approved-is-what-is-called")
def test_a_yes_that_comes_after_the_end_calls_nothing(toolset: Toolset, shop: Shop) -> None:
    person = Person(go_on=threading.Event())
    code = """
import threading, os
threading.Thread(target=pay, args=("ann", 1), daemon=True).start()
for _ in range(20): order(0)
os.kill(os.getpid(), 9)
"""
    with Sandbox(tools=asking(toolset, person)) as sandbox:
        execution = sandbox.run_code(code)
        assert person.go_on is not None
        person.go_on.set()
        after = sandbox.run_code("order(2)['total']")

    assert execution.status == "killed"
    assert (len(person.seen), shop.paid, after.text) == (1, [], "20")


@pytest.mark.twin("tools.approved-is-what-is-called")
def test_what_a_person_puts_in_place_is_called_and_what_they_allow_too(
    toolset: Toolset, shop: Shop
) -> None:
    person = Person(reply=Approval(allowed=True, arguments={"to": "ann", "cents": 1}))
    with Sandbox(tools=asking(toolset, person)) as sandbox:
        first = sandbox.run_code("pay('bob', 100)")
        person.reply = Approval(allowed=True)
        second = sandbox.run_code("pay('bob', 100)")

    assert (first.text, second.text) == ("'paid ann 1'", "'paid bob 100'")
    assert [call.approval for call in (*first.tool_calls, *second.tool_calls)] == [
        "approved with other arguments",
        "approved",
    ]
