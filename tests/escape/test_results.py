"""Attacks on the truth: forged frames, forged ends, a guest that takes our side of the channel over.

The channel leads to the code's own process, so it carries claims. What must hold: a claim is data of a known shape, a
lie is about this interpreter alone (its later executions included: docs/limitations.md), how a process ended is the
kernel's word, and the host is not harmed.
"""

import ast
import select
from pathlib import Path

import pytest

import protocell
import protocell_guest
from protocell import Execution, Limits, Policy, Sandbox
from tests.escape import hosts
from tests.escape.conftest import program
from tests.kernel.children import eventually

MIB = 1 << 20

# `send(message, ...)` puts frames on the channel as the runner would; `raw(body)` one with this body.
_FORGE = """
import json, os, signal, sys
def raw(body):
    data = len(body).to_bytes(4, "little") + body
    while data: data = data[os.write(3, data):]
def send(*messages):
    for message in messages: raw(json.dumps(message).encode())
def done(number=1): return {"event": "done", "id": number, "exit_code": None, "left_out": 0}
def result(text, number=1, main=True, **others):
    fields = {"formats": {"text/plain": text}, "files": {}, "display": None, "update": False}
    return {"event": "result", "id": number, "main": main, **fields, **others}
def clear(number=1): return {"event": "clear", "id": number, "wait": False}
def failed(number=1): return {"event": "error", "id": number, "name": "E", "value": "v", "traceback": "t"}
def wait():
    while True: signal.pause()
"""


def forge(code: str) -> str:
    """Return a program that can write frames."""
    return _FORGE + program(code)


def run(code: str, *, timeout: float = 10, **limits: object) -> Execution:
    """Run a forger in a sandbox of its own."""
    policy = Policy(limits=Limits.from_dict(limits))
    return protocell.run_code(forge(code), policy=policy, timeout=timeout)


# -- nothing unpickled --------------------------------------------------------------------------------

_LOADERS = {
    "pickle",
    "marshal",
    "shelve",
    "dill",
    "cloudpickle",
    "joblib",
    "yaml",
    "_pickle",
    "copyreg",
    "jsonpickle",
}


@pytest.mark.claim("results.nothing-unpickled")
@pytest.mark.parametrize("package", [protocell, protocell_guest])
def test_no_module_of_ours_can_make_objects_of_bytes(package: object) -> None:
    folder = Path(str(package.__file__)).parent  # type: ignore[attr-defined]
    found = {
        f"{path.name}: {name}"
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in _imported(node)
        if name.partition(".")[0] in _LOADERS
    }

    # Documents that the caller hands over, read event by event: no class is looked up in them.
    assert found - {"openapi_yaml.py: yaml"} == set()


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


@pytest.mark.claim("results.nothing-unpickled")
def test_the_host_evaluates_nothing_either() -> None:
    folder = Path(str(protocell.__file__)).parent
    calls = {
        f"{path.name}: {node.func.id}"
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if node.func.id in {"eval", "exec", "compile", "__import__"}
    }

    assert calls == set()


@pytest.mark.claim("results.nothing-unpickled")
def test_a_pickle_on_the_channel_is_not_the_protocol(tmp_path: Path) -> None:
    execution = run(
        f"""
        import pickle
        class Evil:
            def __reduce__(self): return os.mkdir, ({str(tmp_path / "evil")!r},)
        raw(pickle.dumps(Evil())); wait()
        """
    )

    assert execution.status == "killed"
    assert execution.reason.startswith("the code was ended: it broke the protocol (message is not")
    assert list(tmp_path.iterdir()) == []


# -- frames that are none -----------------------------------------------------------------------------

_HEAD = "the code was ended: it broke the protocol ("
BROKEN = {
    "another execution": ("send(done(2))", "'done' is about execution 2, not 1"),
    "a bool as id": ("send(done(True))", "'done' is about execution True, not 1"),
    "a float as id": ("send(done(1.0))", "'done' is about execution a float, not 1"),
    "text as id": ("send(done('1'))", "'done' is about execution '1', not 1"),
    "no id": ("send({'event': 'done', 'exit_code': None, 'left_out': 0})", "'done' has no 'id'"),
    "a field too few": (
        "send({'event': 'done', 'id': 1, 'exit_code': None})",
        "'done' has no 'left_out'",
    ),
    "an unknown event": ("send({'event': 'tool_call', 'id': 1})", "'tool_call' is no event"),
    "no event": ("send({'id': 1})", "None is no event"),
    "an event of another kind": ("send({'event': ['done'], 'id': 1})", "a list is no event"),
    "ready once more": (
        "send({'event': 'ready', 'enforced': ['everything']})",
        "'ready' is no event",
    ),
    "a field too many": ("send({**done(), 'status': 'ok'})", "'done' has no 'status'"),
    "a bool as exit code": ("send({**done(), 'exit_code': True})", "'exit_code' of type bool"),
    "less than nothing left out": (
        "send({**done(), 'left_out': -1})",
        "'done' has a 'left_out' that no honest context counts to",
    ),
    "two errors": ("send(failed(), failed())", "a second error"),
    "two main results": ("send(result('a'), result('b'))", "a second main result"),
    "too many results": (
        "send(*[result('x', main=False)] * 101)",
        "more than 100 results at once",
    ),
    "too many events": ("send(*[clear()] * 10_001)", "more than 10000 results in one execution"),
    "too much in all": (
        "send(*[result('x' * 1_000_000, main=False)] * 9)",
        "results of 9000000 bytes; at most 8388608 are allowed",
    ),
    "a replacement of nothing": (
        "send(result('x', update=True))",
        "'result' is an 'update' of nothing",
    ),
    "a huge name to replace it by": (
        "send(result('x', display='d' * 1001))",
        "'result' has a 'display' that is too long",
    ),
    "a file elsewhere": (
        "send(result('x', files={'text/html': '../../etc/passwd'}))",
        "'files' has 'text/html', which is no file of the workspace",
    ),
    "a file of the host": (
        "send(result('x', files={'text/html': '/etc/passwd'}))",
        "'files' has 'text/html', which is no file of the workspace",
    ),
    "a clearing of another kind": ("send({**clear(), 'wait': 0})", "'wait' of type int"),
    "two ends": (
        """
raw_two = done(); body = json.dumps(raw_two).encode(); frame = len(body).to_bytes(4, 'little') + body
os.write(3, frame * 2)
""",
        "a message after the end",
    ),
    "a result after the end": (
        """
a, b = (json.dumps(m).encode() for m in (done(), result('late')))
os.write(3, len(a).to_bytes(4, 'little') + a + len(b).to_bytes(4, 'little') + b)
""",
        "a message after the end",
    ),
    "a result without text": (
        "send(result('', formats={'text/html': 'x'}))",
        "'formats' lacks text/plain",
    ),
    "a result of another kind": ("send(result({'a': 1}))", "'formats' has 'text/plain'"),
    "a result too large": (
        "send(result('x' * 1_200_000))",
        "a result of 1200000 bytes; at most 1048576 are allowed",
    ),
    "an odd MIME type": (
        "send(result('', formats={'text/plain': '', 'a/b\\x1b[2J': 'x'}))",
        "which is no MIME type",
    ),
    "deep JSON": ("raw(b'[' * 100_000)", "message"),
    "deep objects": ("raw(b'{\"a\":' * 50 + b'1' + b'}' * 50)", "message is nested deeper than 32"),
    "NaN": ('raw(b\'{"event":"done","id":NaN,"exit_code":null}\')', "message has NaN in it"),
    "infinity": (
        'raw(b\'{"event":"done","id":1e999,"exit_code":null}\')',
        "message has a number in it",
    ),
    "a huge integer": (
        "raw(b'{\"event\":\"done\",\"id\":' + b'1' * 100_000 + b'}')",
        "message has an integer",
    ),
    "many keys": (
        "raw(b'{' + b','.join(b'\"%d\":1' % n for n in range(100_000)) + b'}')",
        "message has",
    ),
    "a list": ("raw(b'[1]')", "message is a JSON list"),
    "nothing": ("raw(b'')", "message is not JSON"),
    "no ASCII": ('raw(\'{"event":"é"}\'.encode())', "message is not ASCII"),
    "a huge length": ("os.write(3, b'\\xff\\xff\\xff\\xff')", "frame says it has 4294967295 bytes"),
    "garbage": ("os.write(3, os.urandom(3) + b'\\xff' + os.urandom(60))", ""),
}


@pytest.mark.claim("results.forged-frames")
@pytest.mark.parametrize("code, why", BROKEN.values(), ids=BROKEN)
def test_what_is_not_the_protocol_ends_the_code_and_the_next_call_works(
    code: str, why: str
) -> None:
    with Sandbox() as sandbox:
        execution = sandbox.run_code(forge(code + "\nwait()"), timeout=10)

        assert execution.status == "killed"
        assert execution.reason.startswith(_HEAD), execution.reason
        assert why in execution.reason
        assert "\x1b" not in execution.reason
        assert execution.usage.wall_seconds < 5
        assert sandbox.run_code("6 * 7").text == "42"


@pytest.mark.claim("results.forged-frames")
@pytest.mark.parametrize(
    "code",
    [
        "while True: os.write(3, b'\\x02\\0\\0\\0{}')",
        "os.write(3, b'\\0\\0\\x10\\0')\nwhile True: os.write(3, b'\"' * 65536)",
        "while True: send(result('x' * 200_000, main=False))",
        """
forms = {f'a/{n}': '' for n in range(4000)}
while True: send(result('', main=False, formats=forms))
""",
        "while True: send(result('x' * 4000, main=False, display='d', update=True))",
        "while True: send(clear())",
        "[os.fork() for _ in range(3)]\nwhile True: os.write(3, os.urandom(4096))",
    ],
)
def test_the_hosts_memory_is_bounded_whatever_the_frames(code: str) -> None:
    status, growth = hosts.told(
        f"""
        policy = Policy(environment=Environment(ready=0))
        protocell.run_code("1", policy=policy)
        execution, growth = grown(lambda: protocell.run_code({forge(code)!r}, policy=policy, timeout=20))
        tell([execution.status, growth])
        """
    )

    assert status == "killed"
    assert growth < 64 * MIB


@pytest.mark.twin("results.forged-frames")
@pytest.mark.twin("results.nothing-unpickled")
def test_an_honest_value_an_honest_error_and_an_honest_exit_come_through() -> None:
    assert protocell.run_code("'x' * 200_000").text == repr("x" * 200_000)
    assert protocell.run_code("1 / 0").error.name == "ZeroDivisionError"  # type: ignore[union-attr]
    assert protocell.run_code("raise SystemExit(7)").exit_code == 7


# -- a guest that takes our side over -----------------------------------------------------------------

TAKEN_OVER = {
    "the encoder": "from protocell_guest import wire; wire.encode = lambda *_: b'\\xff' * 8",
    "an encoder that raises": """
from protocell_guest import wire
def encode(*_): raise ValueError
wire.encode = encode
""",
    "an encoder that is gone": "from protocell_guest import wire; del wire.encode",
    "the reader": "from protocell_guest import wire; wire.FrameReader.feed = lambda *_: [{'op': 'execute'}]",
    "every module": "for name in [n for n in sys.modules if n.startswith('protocell_guest')]: sys.modules[name] = None",
    "no modules at all": "sys.modules.clear()",
    "the interpreter": """
from protocell_guest.guest import interpreter
interpreter.Interpreter.run = lambda *a, **k: 1 / 0
""",
    "json": "json.JSONEncoder.encode = json.dumps = json.loads = lambda *a, **k: '[[['",
    "the socket": "import socket\nsocket.socket.sendall = socket.socket.recv = lambda *_: b''",
    "our frames": """
frame = sys._getframe()
while frame: frame.f_globals.update(wire=None, os=None); frame = frame.f_back
""",
    "the garbage collector": """
import gc
for thing in gc.get_objects():
    if type(thing) is dict and 'serve' in thing: thing.clear()
""",
    "another descriptor 3": "os.dup2(os.open('/dev/null', os.O_RDWR), 3)",
    "a pair of its own as descriptor 3": """
import socket
a, b = socket.socketpair(); os.dup2(a.fileno(), 3)
""",
    "descriptor 3 without blocking": "os.set_blocking(3, False)",
    "a half closed channel": """
import socket
socket.socket(fileno=os.dup(3)).shutdown(socket.SHUT_WR)
""",
    "a channel that is not read": """
import socket
socket.socket(fileno=os.dup(3)).shutdown(socket.SHUT_RD)
""",
}


@pytest.mark.claim("results.taken-over")
@pytest.mark.parametrize("code", TAKEN_OVER.values(), ids=TAKEN_OVER)
def test_a_guest_that_takes_our_side_over_harms_only_itself(code: str) -> None:
    with Sandbox() as sandbox:
        first = sandbox.run_code(forge(code), timeout=2)
        second = sandbox.run_code("'whatever this gives'", timeout=2)
        # Whoever owns the interpreter owns what it says; a fresh one is the way back.
        sandbox.run_code("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", timeout=2)
        last = [sandbox.run_code("6 * 7", timeout=10).text for _ in range(2)][-1]

    assert first.usage.wall_seconds + second.usage.wall_seconds < 20
    assert {first.status, second.status} <= {"ok", "error", "timeout", "killed"}
    assert last == "42"


@pytest.mark.claim("results.taken-over")
def test_a_guest_that_reads_the_channel_itself_is_ended_by_the_limits() -> None:
    with Sandbox() as sandbox:
        sandbox.run_code(
            forge("""
import threading
threading.Thread(target=lambda: [os.read(3, 1 << 20) for _ in iter(int, 1)], daemon=True).start()
"""),
            timeout=5,
        )
        stolen = sandbox.run_code("6 * 7", timeout=1)

        assert (stolen.status, stolen.text) in {("timeout", None), ("ok", "42"), ("killed", None)}
        assert eventually(lambda: sandbox.run_code("6 * 7", timeout=1).text == "42")


@pytest.mark.twin("results.taken-over")
def test_a_guest_that_only_looks_at_our_side_goes_on_as_before() -> None:
    with Sandbox() as sandbox:
        seen = sandbox.run_code(
            """
import sys
from protocell_guest import wire
sorted(n for n in sys.modules if n == 'protocell_guest.wire')
"""
        )

        assert seen.text == "['protocell_guest.wire']"
        assert sandbox.run_code("6 * 7").text == "42"


# -- status and output --------------------------------------------------------------------------------


@pytest.mark.claim("results.status-not-forged")
@pytest.mark.parametrize(
    "code, status, reason",
    [
        ("send(result('fine')); os._exit(0)", "killed", "exit code 0"),
        ("send(result('fine')); os.kill(os.getpid(), 9)", "killed", "SIGKILL"),
        ("send(result('fine')); ctypes.string_at(0)", "killed", "SIGSEGV"),
        ("send(result('fine')); os.abort()", "killed", "SIGABRT"),
        ("send(result('fine')); os.close(3); wait()", "killed", "closed its control channel"),
        ("send(failed()); os.execv('/bin/true', ['true'])", "killed", "exit code 0"),
        ("send(result('fine'))\nwhile True: pass", "timeout", "wall_seconds"),
        (
            """
send(result('fine'))
while True: os.write(1, b'x' * 65536)
""",
            "output_limit",
            "output_total_bytes",
        ),
    ],
)
def test_a_forged_result_does_not_change_how_the_code_ended(
    code: str, status: str, reason: str
) -> None:
    execution = run(code, timeout=2, output_total_bytes=4 * MIB)

    assert execution.status == status, execution.reason
    assert reason in execution.reason


@pytest.mark.claim("results.status-not-forged")
def test_who_says_done_and_runs_on_in_a_sandbox_of_one_execution_is_ended() -> None:
    execution = run("send(result('forged'), done())\nwhile True: pass", timeout=10)

    # A claim about itself, which it can always make by ending with that value.
    assert (execution.status, execution.text) == ("ok", "forged")
    assert execution.usage.wall_seconds < 5


@pytest.mark.claim("results.status-not-forged")
def test_an_answer_that_came_before_its_question_is_not_believed() -> None:
    with Sandbox() as sandbox:
        sandbox.run_code(
            forge(
                """
                import threading
                threading.Timer(0.1, lambda: send(result('forged', 2), done(2))).start()
                """
            ),
            timeout=5,
        )
        box = sandbox.context.core._place.box  # type: ignore[union-attr]
        assert select.select([box.channel], [], [], 5)[0]
        second = sandbox.run_code("'honest'", timeout=5)

        assert (second.status, second.text) == ("killed", None)
        assert second.reason == (
            "the code was ended: it broke the protocol (it answered before it was asked)"
        )
        assert sandbox.run_code("6 * 7", timeout=5).text == "42"


@pytest.mark.claim("results.status-not-forged")
def test_who_says_done_and_runs_on_does_not_hold_the_sandbox_for_ever() -> None:
    with Sandbox() as sandbox:
        first = sandbox.run_code(forge("send(done(1))\nwhile True: pass"), timeout=5)
        second = sandbox.run_code("6 * 7", timeout=1)
        third = sandbox.run_code("6 * 7", timeout=5)

    assert first.status == "ok"
    # What stops at the interrupt is still the first: its end is told once more.
    assert (second.status, second.text, second.state) == ("killed", None, "lost")
    assert second.reason == (
        "the code was ended: it broke the protocol ('error' is about execution 1, not 2)"
    )
    assert (third.status, third.text) == ("ok", "42")


@pytest.mark.claim("results.status-not-forged")
def test_who_says_done_and_runs_on_deaf_is_ended_at_the_next_time_out() -> None:
    deaf = "signal.signal(signal.SIGINT, signal.SIG_IGN); send(done(1))\nwhile True: pass"
    with Sandbox() as sandbox:
        first = sandbox.run_code(forge(deaf), timeout=5)
        second = sandbox.run_code("6 * 7", timeout=0.5)
        third = sandbox.run_code("6 * 7", timeout=5)

    assert first.status == "ok"
    assert (second.status, second.text, second.state) == ("timeout", None, "lost")
    assert second.reason.endswith(
        "it went on after an interrupt, so all of its processes were ended"
    )
    assert second.usage.wall_seconds < 5
    assert (third.status, third.text) == ("ok", "42")


@pytest.mark.claim("results.status-not-forged")
@pytest.mark.parametrize(
    "concurrent",
    [
        "if os.fork() == 0:\n    os.setsid()\n    while True: send(result('forged', 1, False))",
        """
import threading
def work():
    while True: send(result('forged', 1, False))
threading.Thread(target=work, daemon=True).start()
""",
    ],
    ids=["a child", "a thread"],
)
def test_frames_sent_beside_our_own_break_the_protocol_or_are_seen(concurrent: str) -> None:
    with Sandbox() as sandbox:
        execution = sandbox.run_code(forge(concurrent + "\n'honest'"), timeout=10)

        assert execution.status in {"ok", "killed"}
        assert execution.text in {"'honest'", None}
        assert len(execution.results) <= 101
        sandbox.run_code("1", timeout=2)
        assert eventually(lambda: sandbox.run_code("6 * 7", timeout=1).text == "42")


@pytest.mark.claim("results.status-not-forged")
def test_what_is_printed_is_no_status() -> None:
    execution = protocell.run_code(
        """
print('{"event": "done", "id": 1, "exit_code": null}')
print("PASSED 10/10")
raise SystemExit(9)
"""
    )

    assert (execution.status, execution.exit_code) == ("error", 9)


@pytest.mark.claim("results.status-not-forged")
def test_usage_and_layers_are_not_the_codes_to_tell() -> None:
    execution = run(
        """
        send(result("x"))
        end = os.times().user + 0.3
        while os.times().user < end: pass
        import time
        time.process_time = time.monotonic = lambda: 0.0
        send(done()); wait()
        """
    )

    assert execution.usage.user_seconds + execution.usage.system_seconds > 0.25
    assert "seccomp" in execution.enforced
    assert "everything" not in execution.enforced


@pytest.mark.twin("results.status-not-forged")
def test_honest_code_has_the_status_that_it_deserves() -> None:
    with Sandbox() as sandbox:
        statuses = [
            sandbox.run_code(code).status
            for code in ("1", "1 / 0", "raise SystemExit(0)", "x = 1", "x")
        ]

    assert statuses == ["ok", "error", "ok", "ok", "ok"]


# -- ordinary errors ----------------------------------------------------------------------------------


@pytest.mark.claim("results.odd-source")
@pytest.mark.parametrize(
    "code, name",
    [
        ("1 +", "SyntaxError"),
        ("def f(:\n", "SyntaxError"),
        ("\tx\n  y", "IndentationError"),
        ("a\0b", None),
        ("'\ud800'", None),
        ("\x1b[2J", "SyntaxError"),
        ("# coding: nonsense\n1 / 0", "ZeroDivisionError"),
        ("(" * 500, "SyntaxError"),
        ("-" * 100_000 + "1", None),
        ("x = " + "[" * 150 + "]" * 150 + "\nf'{" * 1, None),
        ("yield 5", "SyntaxError"),
        ("```\n1 +\n```", "SyntaxError"),
        (")\n" + "~" * 190_000 + "`", "SyntaxError"),
        ("\\n" * 90_000 + "'", "SyntaxError"),
        ("await 5", "TypeError"),
        ("\ufeff1 / 0", None),
        ("\u202e1", "SyntaxError"),
    ],
)
def test_source_that_cannot_be_parsed_is_an_ordinary_error(code: str, name: str | None) -> None:
    with Sandbox() as sandbox:
        execution = sandbox.run_code(code, timeout=10)

        assert execution.status in ({"error"} if name else {"error", "killed", "out_of_memory"}), (
            execution.reason
        )
        assert name is None or (execution.error is not None and execution.error.name == name)
        assert sandbox.run_code("6 * 7").text == "42"


@pytest.mark.claim("results.odd-source")
@pytest.mark.parametrize(
    "code",
    [
        "import os; os.close(1)",
        "import os; os.close(2)",
        "import os; os.closerange(0, 3)",
        "import sys; sys.stdout = None",
        "import sys; sys.stdout.close(); sys.stderr.close()",
    ],
)
def test_closed_channels_are_ordinary_too(code: str) -> None:
    with Sandbox() as sandbox:
        assert sandbox.run_code(code, timeout=10).status == "ok"
        assert sandbox.run_code("6 * 7", timeout=10).text == "42"


# -- ends ---------------------------------------------------------------------------------------------

ENDS = {
    "a crash": ("import ctypes; ctypes.string_at(0)", "killed", "SIGSEGV", "lost"),
    "an illegal instruction": (
        """
import ctypes, mmap
m = mmap.mmap(-1, 4096, prot=7, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
m.write(bytes.fromhex('0f0b') if __import__('platform').machine() == 'x86_64' else bytes(4))
ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(m)))()
""",
        "killed",
        "SIGILL",
        "lost",
    ),
    "a bus error": (
        """
import mmap
f = open('f', 'w+b'); f.truncate(4096); m = mmap.mmap(f.fileno(), 4096); f.truncate(0); m[0]
""",
        "killed",
        "SIGBUS",
        "lost",
    ),
    "an arithmetic error": ("import os; os.kill(os.getpid(), 8)", "killed", "SIGFPE", "lost"),
    "a kill": ("import os; os.kill(os.getpid(), 9)", "killed", "SIGKILL", "lost"),
    "an exit without a word": ("import os; os._exit(0)", "killed", "exit code 0", "lost"),
    "another program": (
        "import os; os.execv('/bin/sh', ['sh', '-c', 'exit 5'])",
        "killed",
        "exit code 5",
        "lost",
    ),
    "an overflow of the stack": (
        """
import sys
sys.setrecursionlimit(10**9)
f = lambda: [*map(lambda _: f(), [1])]
f()
""",
        None,
        "",
        None,
    ),
    "an overflow of output": (
        "while True: print('x' * 1000)",
        "output_limit",
        "output_total_bytes, 2 MiB",
        "lost",
    ),
    "an overflow of memory": (
        "x = bytearray(4 << 30)",
        "out_of_memory",
        "memory_bytes, 1 GiB",
        "kept",
    ),
    "an overflow of time": (
        "while True: pass",
        "timeout",
        "wall_seconds, 1 s; it was interrupted (KeyboardInterrupt) and came to its end",
        "kept",
    ),
    "an overflow of time, deaf": (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
        "timeout",
        "wall_seconds, 1 s; it went on after an interrupt, so all of its processes were ended",
        "lost",
    ),
    "SystemExit": ("raise SystemExit(4)", "error", "exit code 4", "kept"),
    "a signal to the group": ("import os; os.killpg(0, 15)", "killed", "SIGTERM", "lost"),
    "a stop": (
        "import os; os.kill(os.getpid(), 19)",
        "timeout",
        "wall_seconds, 1 s; it went on after an interrupt, so all of its processes were ended",
        "lost",
    ),
}


@pytest.mark.claim("results.ends-told-apart")
@pytest.mark.parametrize("code, status, reason, state", ENDS.values(), ids=ENDS)
def test_each_end_is_told_from_the_others_and_harms_no_later_execution(
    code: str, status: str | None, reason: str, state: str | None
) -> None:
    with Sandbox(Policy(limits=Limits(output_total_bytes="2MiB"))) as sandbox:
        sandbox.run_code("variable = 1")
        execution = sandbox.run_code(code, timeout=1)

        assert status is None or execution.status == status, execution.reason
        assert execution.status != "ok"
        assert reason in execution.reason
        assert state is None or execution.state == state
        is_there = sandbox.run_code("'variable' in globals()", timeout=10).text
        assert is_there == str(execution.state == "kept")
        after = sandbox.run_code("print('after'); 6 * 7", timeout=10)
        assert (after.status, after.text, after.logs.stdout) == ("ok", "42", ["after\n"])
        assert protocell.run_code("6 * 7").text == "42"


@pytest.mark.claim("results.ends-told-apart")
def test_an_end_between_two_executions_is_not_taken_for_the_next_ones() -> None:
    with Sandbox() as sandbox:
        first = sandbox.run_code(
            "import os, threading\nthreading.Timer(0.1, os._exit, [3]).start()", timeout=5
        )
        box = sandbox.context.core._place.box  # type: ignore[union-attr]
        assert first.status == "ok"
        assert eventually(lambda: _is_readable(box.notice))
        second = sandbox.run_code("6 * 7", timeout=5)

        # It did not run, and says why; or it ran in a new interpreter.
        assert (second.status, second.text) == ("ok", "42") or "before" in second.reason
        assert sandbox.run_code("6 * 7", timeout=5).text == "42"


def _is_readable(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0)[0])


@pytest.mark.twin("results.ends-told-apart")
def test_code_that_ends_well_keeps_its_variables() -> None:
    with Sandbox() as sandbox:
        sandbox.run_code("x = 41")
        assert sandbox.run_code("x + 1").text == "42"
