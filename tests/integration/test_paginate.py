"""``paginate`` inside a real sandbox, over the tools of a real MCP server."""

import sys
from pathlib import Path

from protocell import Sandbox
from protocell._broker.runtime import of_this_process
from protocell.tools import Toolset

of_this_process()  # the one loop of the blocking face, which stays until the process ends
SERVER = Path(__file__).parent.parent / "tools" / "servers" / "mcp_pages.py"


def test_all_pages_of_an_mcp_server_are_one_loop():
    command = [sys.executable, str(SERVER)]
    code = """
print(list(paginate(remote.structured)), list(paginate(remote.texts, count=2)))
print([item async for item in paginate(remote.structured, limit=4)])
list(paginate(remote.whole))
"""
    with Toolset.mcp(command, name="remote") as toolset, Sandbox(tools=toolset) as sandbox:
        execution = sandbox.run_code(code)

    assert execution.logs.stdout == [
        "[1, 2, 3, 4, 5, 6, 7] [1, 2, 3, 4, 5, 6, 7]\n",
        "[1, 2, 3, 4]\n",
    ]
    assert execution.error is not None
    assert execution.error.name == "ToolValidationError"
    assert execution.error.value == (
        "paginate cannot tell how remote/whole goes on: it has no parameter for a cursor, a page or "
        "an offset; call it once, that may be all"
    )
    assert len(execution.tool_calls) == 3 + 4 + 2 + 1
