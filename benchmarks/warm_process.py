"""The physical limit: a warm interpreter that forks, and nothing else; started by rivals.py, one request on a line.

``fork COUNT CALLERS``  fork COUNT children, at most CALLERS at a time, each of which exits at once; answers nanoseconds
``exec``                run a piece of code, as a loop on pipes would; answers when that is done
``hold``                fork a child that stays; answers its process id
``drop``                end that child; answers its process id
"""

import gc
import importlib
import os
import sys
import time


def fork_all(count: int, callers: int) -> int:
    """Return the nanoseconds that it takes until the last child has been waited for."""
    started = time.perf_counter_ns()
    running = 0
    for _ in range(count):
        if running == callers:
            os.wait()
            running -= 1
        if os.fork() == 0:
            os._exit(0)
        running += 1
    for _ in range(running):
        os.wait()
    return time.perf_counter_ns() - started


def hold() -> tuple[int, int]:
    """Fork a child that stays until the descriptor that is returned with its id is closed, or we end."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    return pid, writer


def main() -> None:
    """Load what the command line names, and answer until end of file."""
    for name in sys.argv[1:]:
        importlib.import_module(name)
    compile("1", "<warm>", "exec")
    gc.collect()
    gc.freeze()
    held = writer = -1
    print("ready", flush=True)
    while line := sys.stdin.readline():
        match line.split():
            case ["fork", count, callers]:
                answer = fork_all(int(count), int(callers))
            case ["exec"]:
                exec(compile("answer = str(1)", "<call>", "exec"), {})
                answer = 0
            case ["hold"]:
                held, writer = hold()
                answer = held
            case _:
                os.close(writer)
                answer = os.waitpid(held, 0)[0]
        print(answer, flush=True)


if __name__ == "__main__":
    main()
