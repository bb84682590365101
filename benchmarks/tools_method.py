"""How tools were measured, as the document says it."""

HOW = """\
## How it was measured

- **Servers** are those of `benchmarks/tools_material/servers.toml`, in the versions named there, each installed into a
  folder of its own (the packages that they need are not pinned) and started as a process through `Toolset.mcp`. All
  figures about definitions are about what they listed then. Some of them would need a network or an account to do
  anything: they list their tools, and are not called. A server that could not be installed or started is named below
  its table.
- **Static specs** are name, description and input schema of each tool as compact JSON, the shortest that it can be;
  that of code mode's one tool is counted in the same way. How providers write them out for their models is not known.
- **full**, **compact**, **search** are the three levels of the catalogue; "chosen by the rule" is what a model is shown
  by default.
- **recall@5**: requests in natural language, written from the tools' documentation (`tests/catalogue/requests.json`),
  in the sets that stand there: those that the ranking was tuned on, those that were seen while it was made, and those
  that were not. A request is answered if one of its tools is among the first five hits over all servers.
- **Tasks** are played by fixed scripts on the real servers, both ways, and have to come to the same answer. Statically
  each call is written out, calls that do not need each other in one turn, and its whole result is read; what the reader
  then adds up is held for right. In code mode programs are written, and what they print is read. Both ask the servers
  the same. That is a choice: a clever query would let SQL do some of the work, for both; the tables stand for the many
  services that cannot add up.
- In code mode a script looks at two rows first where it does not know what a tool gives. With all servers the tools are
  not listed, so it begins with a turn that searches; what that shows takes the place of definitions.
- **tools**: once with only the servers that the task needs, as somebody would who chose them by hand; once with all
  servers, whose definitions are then all in the context of the static way. Clients that find definitions when they are
  needed come between the two; at their best they are the last column of "Where code mode loses".
- The scripts make no mistakes, in either way. Models do: wrong arguments in both, and errors of syntax in code alone.
- A **turn** is one thing that the model writes: calls, a program, the answer. **Tokens out** are all of these.
  **Tokens in** are the contexts of all turns, each sent anew. **Context at the end** counts every token once. What a
  protocol writes around messages is not counted, nor is anything that a model thinks.
- **Price** weighs them as providers do, roughly: a token that is read for the first time is 1, one that was in the
  context of the turn before 0.1, one that is written 5. Whether code mode loses is judged by it. Definitions are read
  for the first time once in each play; a cache that holds them from one conversation to the next makes them a tenth of
  that, for both ways, and takes from what is saved where many tools are defined.
- **Results** are what came back from work and stayed in the context; the aim of 2 % is about them, in the plays with a
  task's servers alone. What was printed to find a tool is no result of one, and has its own column.
- **Calls** are timed inside, by the code that calls, with `perf_counter()`; a sample is the median of a thousand calls,
  and in brackets are the 10th and the 95th percentile of the samples. **limit** is a round trip of 64 bytes over a
  socket pair between two Python processes, in the same round: nothing in Python is faster. The functions give back
  their argument, checked against its type on the way in as always.
- **Contexts** are those of one sandbox, each with an interpreter of its own. They begin together, and calls a second
  count from the first call to the last answer of any.
- **Calls that wait for each other** end only when all of them are there: that they end at all shows that so many go on
  at once. It needs limits above the defaults (processes, calls at once) and threads with small stacks, and starting
  the threads is part of its time.
- **A large value** is a text that a host's function has ready. Each sample is a process of its own. Memory is VmHWM
  after the call less VmRSS before it, of the host and of the context.
"""
