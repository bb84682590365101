"""Attacks on the host through what code writes: floods, odd bytes, late writers, hostile objects, escape sequences."""

import json
import re

import pytest

import protocell
from protocell import Execution, Limits, Policy, Sandbox
from protocell._printable import printable, printable_line
from protocell.errors import GuestError
from tests.escape import hosts
from tests.escape.conftest import program

MIB = 1 << 20
UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def limited(**limits: object) -> Policy:
    """Return the default policy with these limits."""
    return Policy(limits=Limits.from_dict(limits))


def stdout(execution: Execution) -> str:
    """Return what the code wrote."""
    return "".join(execution.logs.stdout)


# -- floods -------------------------------------------------------------------------------------------

FLOODS = {
    "one endless line": ("import os\nwhile True: os.write(1, b'x' * 65536)", "output_limit"),
    "empty lines": ("import os\nwhile True: os.write(1, b'\\n' * 65536)", "output_limit"),
    "short lines": ("import os\nwhile True: os.write(2, b'a\\n' * 32768)", "output_limit"),
    "bytes that are no text": (
        """
import os
while True: os.write(1, b'\\xff' * 65536)
""",
        "output_limit",
    ),
    "both streams and children": (
        """
import os
os.fork(); os.fork()
while True: os.write(1, b'x' * 65536); os.write(2, b'y' * 65536)
""",
        "output_limit",
    ),
    "a huge value": ("'x' * (200 << 20)", "ok"),
    "a huge value of wide characters": ("'\\U0001F600' * (20 << 20)", "ok"),
    "an exception of 100 MB": ("raise ValueError('x' * (100 << 20))", "error"),
    "a huge traceback": (
        """
import sys
sys.setrecursionlimit(100_000)
def f(n):
    raise ValueError if n == 0 else f(n - 1)
f(20_000)
""",
        None,
    ),
    "a chain of exceptions": (
        """
error = None
for n in range(20_000):
    new = ValueError('x' * 1000); new.__cause__ = error; error = new
raise error
""",
        "error",
    ),
    "a huge group of exceptions": (
        "raise ExceptionGroup('many', [ValueError('x' * 1000) for _ in range(50_000)])",
        "error",
    ),
    "a class with a huge name": ("raise type('X' * (50 << 20), (Exception,), {})", "error"),
    "a huge line of source": (
        "exec(compile('x = 1; ' * 500_000 + 'y' * 5_000_000, 'x' * 1_000_000, 'exec'))",
        "error",
    ),
    "names of many files": (
        "for n in range(5000): open('n' * 240 + str(n), 'w').close()",
        "ok",
    ),
    "a flood on the channel": (
        """
import os
while True: os.write(3, b'\\x10\\0\\0\\0[1,1,1,1,1,1,1,1]')
""",
        "killed",
    ),
    "a frame that never ends": (
        "import os\nos.write(3, b'\\0\\0\\x10\\0')\nwhile True: os.write(3, b' ' * 65536)",
        "killed",
    ),
}


@pytest.mark.claim("output.floods")
@pytest.mark.parametrize("code, status", FLOODS.values(), ids=FLOODS)
def test_a_flood_costs_the_host_a_bounded_memory(code: str, status: str | None) -> None:
    found, growth, length = hosts.told(
        f"""
        policy = Policy(limits=Limits(memory_bytes="2GiB"), environment=Environment(ready=0))
        protocell.run_code("1", policy=policy)
        execution, growth = grown(lambda: protocell.run_code({code!r}, policy=policy, timeout=30))
        tell([execution.status, growth, len(execution.to_json())])
        """
    )

    assert status is None or found == status
    assert growth < 96 * MIB
    assert length < 24 * MIB


@pytest.mark.twin("output.floods")
def test_output_below_the_limit_is_complete() -> None:
    execution = protocell.run_code(
        "for n in range(10_000): print(n)\n'y' * 100_000", policy=limited(output_bytes="1MiB")
    )

    assert execution.logs.stdout == [f"{n}\n" for n in range(10_000)]
    assert execution.text == repr("y" * 100_000)


@pytest.mark.claim("output.floods")
def test_a_listener_that_streams_gets_no_more_than_was_allowed() -> None:
    sizes: list[int] = []
    with Sandbox(limited(output_total_bytes=MIB)) as sandbox:
        execution = sandbox.run_code(
            "import os\nwhile True: os.write(1, b'x' * 4096)",
            on_stdout=lambda text: sizes.append(len(text)),
        )

    assert execution.status == "output_limit"
    assert sum(sizes) < 3 * MIB  # the limit, and what was in the pipe


# -- bytes --------------------------------------------------------------------------------------------


@pytest.mark.claim("output.any-bytes")
def test_any_bytes_come_back_as_text_that_can_be_kept() -> None:
    execution = protocell.run_code(
        """
import os, sys
os.write(1, bytes(range(256)) * 3)
os.write(2, b"\\xed\\xa0\\x80\\xff\\xfe\\0\\xf4\\x90\\x80\\x80 torn \\xe2\\x82")
print("\\udc80 lone \\ud800", "\\x1b]52;c;aGk=\\x07", "\\u202e")
sys.stdout.buffer.write(b"\\xf0\\x9f\\x98"); sys.stdout.flush()
"\\ud800\\0"
"""
    )

    assert execution.status == "ok"
    for text in (stdout(execution), "".join(execution.logs.stderr), execution.text or ""):
        assert text.encode("utf-8").decode("utf-8") == text
    assert json.loads(execution.to_json())["logs"]["stdout"] == execution.logs.stdout
    assert stdout(execution).count("\0") == 3


@pytest.mark.claim("output.any-bytes")
def test_odd_text_in_errors_comes_back_as_text_that_can_be_kept() -> None:
    execution = protocell.run_code(
        "raise type('Na\\x1b[2Jme\\n\\udc80', (Exception,), {})('\\0\\ud800\\x1b[31m')"
    )

    assert execution.error is not None
    for text in (execution.error.name, execution.error.value, execution.error.traceback):
        assert text.encode("utf-8").decode("utf-8") == text
    assert UNSAFE.search(execution.error.name) is None


@pytest.mark.twin("output.any-bytes")
def test_text_of_the_world_comes_back_as_it_was() -> None:
    words = "Grüße, 你好, שלום, 😀, naïve\tend"
    execution = protocell.run_code(
        f"import sys\nprint({words!r}); print({words!r}, file=sys.stderr)\n{words!r}"
    )

    assert stdout(execution) == words + "\n"
    assert execution.logs.stderr == [words + "\n"]
    assert execution.text == repr(words)


# -- late writers -------------------------------------------------------------------------------------

LATE = """
reader, writer = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork(): os._exit(0)
    os.write(writer, b"!")
    while True:
        try:
            os.write(1, b"late " * PER_WRITE); os.write(2, b"late " * PER_WRITE)
        except BlockingIOError:
            pass
        PAUSE
os.wait(); os.read(reader, 1)
tell("over")
"""


def late(per_write: int, pause: str) -> str:
    """Return a program that leaves a daemon behind, which goes on writing."""
    return program(LATE.replace("PER_WRITE", str(per_write)).replace("PAUSE", pause))


@pytest.mark.claim("output.late-writers")
@pytest.mark.parametrize("per_write", [1, 10_000])
def test_a_daemon_that_goes_on_writing_does_not_hold_the_host(per_write: int) -> None:
    execution = protocell.run_code(late(per_write, "pass"), timeout=20)

    assert execution.status in {"ok", "output_limit"}
    assert execution.usage.wall_seconds < 10
    assert len(stdout(execution)) <= MIB + 200


@pytest.mark.claim("output.late-writers")
def test_a_daemon_that_goes_on_writing_does_not_hold_the_next_execution() -> None:
    with Sandbox() as sandbox:
        first = sandbox.run_code(late(1, "__import__('time').sleep(0.01)"), timeout=20)
        second = sandbox.run_code("print('mine')\n6 * 7", timeout=20)

    assert first.status == "ok"
    assert (second.status, second.text) == ("ok", "42")
    assert "mine\n" in stdout(second)


@pytest.mark.claim("output.late-writers")
def test_what_a_daemon_floods_between_two_executions_is_not_kept_by_the_host() -> None:
    kept, growth = hosts.told(
        f"""
        import threading
        with Sandbox(Policy(environment=Environment(ready=0))) as sandbox:
            sandbox.run_code({late(1, "pass")!r}, timeout=20)
            def wait():
                threading.Event().wait(0.5)  # as long as the daemon likes to write
                return sandbox.run_code("1 + 1", timeout=20)
            execution, growth = grown(wait)
            tell([sum(map(len, execution.logs.stdout)), growth])
        """
    )

    assert kept <= MIB + 200
    assert growth < 32 * MIB


@pytest.mark.claim("output.late-writers")
def test_a_streams_listener_hears_nothing_after_the_end() -> None:
    heard: list[str] = []
    with Sandbox() as sandbox:
        sandbox.run_code(
            late(1, "__import__('time').sleep(0.01)"), on_stdout=heard.append, timeout=20
        )
        count = len(heard)
        sandbox.run_code("print('mine')", timeout=20)

    assert len(heard) == count


@pytest.mark.twin("output.late-writers")
def test_a_child_that_ends_in_time_is_heard_to_its_last_word() -> None:
    execution = protocell.run_code(
        """
import subprocess
print(subprocess.run(['/bin/sh', '-c', 'echo one; echo two >&2']).returncode)
"""
    )

    assert execution.logs.stdout == ["one\n", "0\n"]
    assert execution.logs.stderr == ["two\n"]


# -- hostile objects ----------------------------------------------------------------------------------

_REPR = "class Hostile:\n    def __repr__(self):\n        "
REPRS = {
    "raises": (_REPR + "raise ValueError('no')\nHostile()", "ok"),
    "raises what cannot be told": (
        "class E(Exception):\n    def __str__(self): raise RuntimeError\n    __repr__ = __str__\n"
        + _REPR
        + "raise E\nHostile()",
        "ok",
    ),
    "exits": (_REPR + "raise SystemExit(3)\nHostile()", "error"),
    "interrupts": (_REPR + "raise KeyboardInterrupt\nHostile()", "error"),
    "is no text": (_REPR + "return 5\nHostile()", "ok"),
    "is a liar": (
        """
class Text(str):
    def __str__(self): return 'lie' * 10**7
    __len__ = lambda self: 1
    __getitem__ = None
    encode = None

"""
        + _REPR
        + "return Text('true')\nHostile()",
        "ok",
    ),
    "calls itself": (_REPR + "return repr(self)\nHostile()", "ok"),
    "is endless": (_REPR + "\n        while True: pass\nHostile()", "timeout"),
    "ends the process": (_REPR + "import os; os._exit(0)\nHostile()", "killed"),
    "is deep": ("x = []\nfor _ in range(100_000): x = [x]\nx", None),
    "has a class without a name": (
        """
class Meta(type):
    __name__ = property(lambda self: 1 / 0)
class Hostile(metaclass=Meta):
    def __repr__(self): raise ValueError
Hostile()
""",
        "ok",
    ),
}


@pytest.mark.claim("output.hostile-reprs")
@pytest.mark.parametrize("code, status", REPRS.values(), ids=REPRS)
def test_a_hostile_repr_does_not_hold_us(code: str, status: str | None) -> None:
    with Sandbox() as sandbox:
        execution = sandbox.run_code(code, timeout=1)

        assert status is None or execution.status == status, execution.reason
        assert execution.usage.wall_seconds < 10
        assert len(execution.text or "") < 300_000
        sandbox.run_code("'the second may have to make a new interpreter'", timeout=10)
        assert sandbox.run_code("6 * 7", timeout=10).text == "42"


@pytest.mark.claim("output.hostile-reprs")
def test_a_repr_that_looks_back_at_us_harms_its_own_interpreter_alone() -> None:
    back = "import sys\n" + _REPR + "sys._getframe(1).f_globals.clear(); return 'x'\nHostile()"
    with Sandbox() as sandbox:
        beside = sandbox.create_code_context()
        first = sandbox.run_code(back, timeout=5)
        second = sandbox.run_code("6 * 7", timeout=5)

        assert {first.status, second.status} <= {"ok", "error", "killed"}
        assert first.usage.wall_seconds + second.usage.wall_seconds < 5
        assert beside.run_code("6 * 7", timeout=10).text == "42"
        # Whoever owns the interpreter owns what it says; a fresh one is the way back.
        sandbox.restart_code_context(sandbox.context)
        assert sandbox.run_code("6 * 7", timeout=10).text == "42"


ERRORS = {
    "its text raises": "class E(Exception):\n    def __str__(self): raise ValueError\nraise E",
    "its text is endless": """
class E(Exception):
    def __str__(self):
        while True: pass
raise E
""",
    "its text is no text": "class E(Exception):\n    def __str__(self): return 5\nraise E",
    "its text exits": "class E(Exception):\n    def __str__(self): raise SystemExit(0)\nraise E",
    "it is its own cause": "e = ValueError('x'); e.__cause__ = e; e.__context__ = e\nraise e",
    "a ring of causes": """
a = ValueError('a'); b = ValueError('b'); a.__cause__ = b; b.__cause__ = a
raise a
""",
    "a syntax error with odd parts": """
e = SyntaxError('m'); e.lineno = 'x'; e.text = 5; e.offset = -(10**30); e.filename = object()
raise e
""",
    "a syntax error in the dark": "raise SyntaxError('m', ('/etc/passwd', 1, 1, 'x' * 10**7, 1, 10**9))",
    "a huge exit code": "raise SystemExit(10**100)",
    "notes without an end": "e = ValueError('x'); e.__notes__ = ['n' * 1000] * 100_000\nraise e",
    "notes that are none": "e = ValueError('x'); e.__notes__ = 5\nraise e",
    "a loader that lies": """
import linecache
linecache.getline = linecache.getlines = lambda *a, **k: 1 / 0
1 / 0
""",
    "a hook that lies": """
import sys, traceback
sys.excepthook = traceback.format_exception = None
1 / 0
""",
    "no builtins": """
import builtins
for n in ('repr', 'str', 'len', 'isinstance', 'type'): setattr(builtins, n, None)
1 / 0
""",
}


@pytest.mark.claim("output.hostile-reprs")
@pytest.mark.parametrize("code", ERRORS.values(), ids=ERRORS)
def test_a_hostile_exception_does_not_hold_us(code: str) -> None:
    with Sandbox() as sandbox:
        execution = sandbox.run_code(code, timeout=1)

        assert execution.status in {"error", "timeout", "killed"}, execution.reason
        assert execution.usage.wall_seconds < 10
        assert len(execution.error.traceback if execution.error else "") < 300_000
        assert sandbox.run_code("6 * 7", timeout=10).text == "42"


@pytest.mark.twin("output.hostile-reprs")
def test_an_honest_repr_and_an_honest_exception_are_shown() -> None:
    shown = protocell.run_code("class A:\n    def __repr__(self): return 'A!'\n[A(), A()]")
    raised = protocell.run_code("raise LookupError('which one?')")

    assert shown.text == "[A!, A!]"
    assert raised.error is not None
    assert (raised.error.name, raised.error.value) == ("LookupError", "which one?")


@pytest.mark.claim("output.hostile-reprs")
def test_no_object_of_the_code_exists_on_the_host() -> None:
    execution = protocell.run_code("class int(int): pass\nprint('x')\nint(5)")

    assert type(execution.text) is str
    assert {type(line) for line in execution.logs.stdout} == {str}


# -- terminals ----------------------------------------------------------------------------------------

ESCAPES = "\x1b[2J\x1b]0;owned\x07\x1b]52;c;cHduZWQ=\x07\r\x08\x9b31m\u202e\u2066\x7f\x00\ud800"


@pytest.mark.claim("output.no-control-characters")
@pytest.mark.parametrize(
    "code",
    [
        """
import sys
print(T); print(T, file=sys.stderr)
class R:
    def __repr__(self): return T
R()
""",
        "raise type('N' + T, (Exception,), {})(T)",
        "raise SystemExit(T)",
        "import sys\nsys.stderr.write(T); 1 / 0",
        """
open('plain', 'w').close(); import os
for n, c in enumerate(T.encode('utf-8', 'surrogatepass').decode('latin-1')):
    if c not in '/\\0': open(f'{n}{c}', 'w').write(T.encode('utf-8', 'replace').decode())
""",
        "import os\nos.write(3, b'\\x10\\0\\0\\0' + T[:16].encode('utf-8', 'replace'))",
    ],
)
def test_no_raw_control_character_is_in_anything_that_a_person_reads(code: str) -> None:
    execution = protocell.run_code(f"T = {ESCAPES!r}\n{code}", timeout=20)
    values: list[object] = [execution, execution.logs, execution.usage, execution.files]
    values += [*execution.results, *execution.files.values(), execution.error]
    texts = [shown for value in values for shown in (str(value), repr(value))]
    texts += [execution.reason, execution.to_json(), *execution.files, *execution.files.removed]
    if execution.status != "ok":
        with pytest.raises(GuestError) as raised:
            execution.raise_for_error()
        texts += [str(raised.value), repr(raised.value)]

    for text in texts:
        assert UNSAFE.search(text.replace("\n", "").replace("\t", "")) is None, ascii(text)
        text.encode("utf-8")


@pytest.mark.claim("output.no-control-characters")
def test_what_is_made_printable_has_nothing_that_a_terminal_obeys() -> None:
    everything = "".join(map(chr, [*range(0x3000), *range(0xD7F0, 0xE010), 0x1F600]))

    assert UNSAFE.search(printable(everything).replace("\n", "").replace("\t", "")) is None
    assert UNSAFE.search(printable_line(everything, 10**6)) is None
    assert len(printable_line(everything, 10**6).splitlines()) == 1
    printable(everything).encode("utf-8")


@pytest.mark.twin("output.no-control-characters")
def test_ordinary_text_is_shown_as_it_is() -> None:
    execution = protocell.run_code("'naïve — 你好 😀'")

    assert str(execution).endswith("'naïve — 你好 😀'")
    assert printable("line\n\ttab é") == "line\n\ttab é"


@pytest.mark.claim("output.no-control-characters")
def test_a_forged_line_about_what_was_left_out_changes_no_status() -> None:
    execution = protocell.run_code("print('[... 1,000,000 bytes left out ...]')")

    assert execution.logs.stdout == ["[... 1,000,000 bytes left out ...]\n"]
    assert execution.status == "ok"
