"""A sandbox used once, written once for both faces."""

from __future__ import annotations

from collections.abc import Mapping

from protocell._session import checks
from protocell._session.choices import Choices
from protocell._session.core import Core
from protocell._session.lifecycle import Manner
from protocell._waiter import Waiter
from protocell._workspace.filesystem import Filesystem
from protocell._workspace.transfer import Content
from protocell.execution import Execution
from protocell.policy import Policy


async def run_once(
    code: str,
    policy: Policy | None,
    files: Mapping[str, Content] | None,
    choices: Choices,
    waiter: Waiter,
) -> Execution:
    """Run code in a sandbox of its own, which then ends."""
    core = Core(policy, waiter, Manner(once=True, desk=choices.desk()))
    checks.check_code(code)
    checks.seconds(choices.timeout, core.policy.limits.wall_seconds)
    filesystem = Filesystem(core, waiter)
    try:
        for path, data in checks.files(files).items():
            await filesystem.write(path, data)
        return await core.run_code(code, timeout=choices.timeout)
    finally:
        core.close()
