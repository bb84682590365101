"""A sandbox used once, written once for both faces."""

from __future__ import annotations

from collections.abc import Mapping

from protocell import _checks
from protocell._core import Core
from protocell._filesystem import Filesystem
from protocell._lifecycle import Manner
from protocell._transfer import Content
from protocell._waiter import Waiter
from protocell.execution import Execution
from protocell.policy import Policy


async def run_once(
    code: str,
    policy: Policy | None,
    files: Mapping[str, Content] | None,
    timeout: float | None,
    waiter: Waiter,
) -> Execution:
    """Run code in a sandbox of its own, which then ends."""
    core = Core(policy, waiter, Manner(once=True))
    _checks.check_code(code)
    _checks.seconds(timeout, core.policy.limits.wall_seconds)
    filesystem = Filesystem(core, waiter)
    try:
        for path, data in _checks.files(files).items():
            await filesystem.write(path, data)
        return await core.run_code(code, timeout=timeout)
    finally:
        core.close()
