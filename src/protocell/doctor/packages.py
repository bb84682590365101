"""Whether code inside can read the packages that are there: it is no longer root, where the host is.

Who installs as root with a umask of 077 gets files that only root reads; inside they seem not to be installed.
"""

from __future__ import annotations

import json
import shlex

from protocell.environment import Environment
from protocell.errors import SetupError
from protocell.policy import Policy
from protocell.sandbox import Sandbox

_ENVIRONMENT = Environment(ready=0)
_CODE = """
import json, os, sys
def is_closed(path):
    try:
        is_folder = os.path.isdir(path) or not os.stat(path)
    except FileNotFoundError:
        return False
    except PermissionError:
        return True
    return not os.access(path, os.R_OK | (os.X_OK if is_folder else 0))
found = []
for folder in filter(os.path.isabs, sys.path):
    if is_closed(folder):
        found.append(folder)
    elif os.path.isdir(folder):
        found += filter(is_closed, (os.path.join(folder, name) for name in os.listdir(folder)))
print(json.dumps([sys.prefix, found]))
"""


def unreadable(waived: frozenset[str], environment: Environment = _ENVIRONMENT) -> str:
    """What to do where code inside cannot read them; empty where it can.

    Raises:
        UnsupportedError, SetupError: there is no sandbox.
    """
    with Sandbox(Policy(environment=environment, waive=waived)) as sandbox:
        execution = sandbox.run_code(_CODE)
    if execution.status != "ok":
        raise SetupError(
            f"the packages could not be looked at: {execution.reason}", step="packages"
        )
    prefix, closed = json.loads("".join(execution.logs.stdout))
    if not closed:
        return ""
    more = f" and {len(closed) - 1} more" if len(closed) > 1 else ""
    folder = prefix if closed[0].startswith(f"{prefix}/") else closed[0]
    return (
        f"Code inside cannot read {closed[0]}{more}, and finds no package there: "
        f"only their owner may. chmod -R a+rX {shlex.quote(folder)}"
    )
