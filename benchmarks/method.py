"""How everything was measured, as the document says it: a figure without its method is an advertisement."""

HOW = """\
## How it was measured

- **protocell** runs with the full default policy, limits included; only `Environment` differs (`preload`, `ready`,
  `shell`), and the memory limit in the rows of checkpoints and branches. Every run's output is checked. Before each
  sample all sandboxes of this process are ready, warm or gone. "One waiting" therefore means that a sandbox stood ready
  and had done its idle warm-up, as between two turns of an agent; "none waiting, in a row" is `Environment(ready=0)`,
  five calls one right after the other, their mean.
- **IPython** is `Environment()`, in which IPython's shell runs the code if it is among the packages above; the aims
  are for it. **plain** is `Environment(shell="plain")`. Rows that name neither are of the first.
- **naive** is `subprocess.run([sys.executable, "-I", file], capture_output=True, timeout=5, cwd="/tmp")`, which
  isolates nothing. In the throughput rows its timeout is 120 s.
- **bwrap** is `bwrap --unshare-all --die-with-parent --new-session --ro-bind / / --dev /dev --proc /proc` around it.
- **limit** is what a warm interpreter can do at best: `os.fork()`, exit, wait (with pandas loaded in the pandas rows),
  measured in that process; for the warm call, `exec` in a bare loop on two pipes; for memory, what a forked child adds.
  Nobody isolates anything there. A factor of 0.5 says that we take twice as long.
- **pandas used** is a groupby of 1,000 rows. Ours has pandas preloaded; the naive way and bwrap have to import it.
- **Throughput** counts from the first call to the moment when the last used sandbox is gone from the process table.
- **First sandbox**: a new interpreter each time, from after `import protocell` to the result. Against it stands a
  single run of the others.
- **Memory** is the proportional set size of init and context, after the idle warm-up. A page that n processes share
  counts 1/n, so what is shared with the zygote counts a third for the only sandbox and next to nothing for one of
  many; what each adds to all anonymous memory, and what the machine has less, do not depend on such shares. None of
  them had run anything yet, but for the first of many. MB is a million bytes, GB a thousand of them.
- **ipykernel** is one that `jupyter_client` drives over unix sockets, on the shortest way that it has: each message
  taken by itself, not by `execute_interactive`, which takes longer; history off, as in ours. A call ends when its
  output, "idle" and the reply are here. Started anew it counts from `start_kernel()` until the first call has ended,
  without the pauses of `wait_for_ready`. It isolates nothing.
- **Opening** is `Sandbox.create()` and a first `print(1)`, the zygote being there; none waiting is one at a time here.
- **`interrupt()`** comes from another thread, in a `while True: pass`; `KeyboardInterrupt` ends that, the variables
  stay, and the time is over when a `print(1)` has been answered. Of ipykernel it is `interrupt_kernel()`.
- **Streaming**: the code prints `time.monotonic_ns()` twenty times, 5 ms apart, and the callback subtracts it from its
  own; the clock is the same inside and outside. A sample is the median of the twenty.
- **Live contexts** are those of one sandbox, each with an interpreter of its own; of ipykernel as many kernels. One
  call at a time, from one thread.
- **Checkpoints**: two sandboxes with the same data, pandas loaded in both, one with `checkpoints=True`. A factor of
  0.5 says that a call takes twice as long with them. An array lies on huge pages if transparent huge pages are "always"
  or "madvise", since numpy asks for them from 4 MB on; bytes objects of 1 MB each lie on small ones. Where all of the
  array is written, that also pays for the pages that the frozen copy keeps.
- **Restore**: the code prints the clock and sends SIGKILL to itself. `run_code` comes back with `state == "restored"`,
  and the time is over when the next call has used the data.
- **`fork(n)`**: the files are copied (there are none), and the time is over when a copy has answered
  `print(len(frame))`. Half of the frame's memory is numbers, half is text, an object for each cell.
"""
