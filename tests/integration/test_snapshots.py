"""Files that go back with a checkpoint: whose they are, with which modes, and what is not touched."""

from protocell import Sandbox
from tests.integration.running import QUIET, fine


def modes(sandbox: Sandbox) -> dict[str, int]:
    """Of all that is there, by its path."""
    return {entry.path: entry.mode for entry in sandbox.files.list(depth=None)}


def test_files_and_folders_go_back_with_their_modes():
    made = """
import os
open('secret', 'w').write('x'); os.chmod('secret', 0o600)
open('tool', 'w').write('x'); os.chmod('tool', 0o750)
open('fixed', 'w').write('x'); os.chmod('fixed', 0o400)
os.mkdir('mine'); open('mine/deep', 'w').write('y'); os.chmod('mine', 0o700)
os.mkdir('shut'); open('shut/in', 'w').write('z'); os.chmod('shut', 0o500)
"""
    spoiled = """
import shutil
os.remove('secret'); os.chmod('tool', 0o644); os.chmod('fixed', 0o644)
shutil.rmtree('mine'); os.chmod('shut', 0o777); os.remove('shut/in')
"""
    with Sandbox(QUIET) as sandbox:
        fine(sandbox.run_code(made))
        before = modes(sandbox)
        sandbox.context.checkpoint("all", files=True)
        fine(sandbox.run_code(spoiled))
        sandbox.context.restore("all")

        assert modes(sandbox) == before
        assert {path.removeprefix("/home/user/"): oct(mode) for path, mode in before.items()} == {
            "secret": "0o600",
            "tool": "0o750",
            "fixed": "0o400",
            "mine": "0o700",
            "mine/deep": "0o644",
            "shut": "0o500",
            "shut/in": "0o644",
        }
        after = fine(sandbox.run_code("open('secret').read() + open('shut/in').read()"))
        assert (after.text, dict(after.files), after.files.removed) == ("'xz'", {}, ())


def test_a_branch_takes_back_its_own_files_and_nobody_elses():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code("open('a', 'w').write('old')")
        first, second = sandbox.context.fork(2)
        first.checkpoint("mine", files=True)
        for number, context in enumerate((sandbox.context, first, second)):
            fine(context.run_code(f"open('a', 'w').write('{number}'); open('new', 'w').close()"))
        first.restore("mine")

        read = "import os\nopen('a').read(), os.path.exists('new')"
        found = [fine(each.run_code(read)).text for each in (sandbox.context, first, second)]
        assert found == ["('0', True)", "('old', False)", "('2', True)"]


def test_the_workspace_goes_back_without_the_folders_of_branches():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code("open('a', 'w').write('old')")
        (before,) = sandbox.context.fork(1)
        before.run_code("import os; os.symlink('a', 'link')")
        sandbox.context.checkpoint("all", files=True)
        (after,) = sandbox.context.fork(1)
        for context in (sandbox.context, before, after):
            fine(context.run_code("open('a', 'w').write('new')"))
        sandbox.context.restore("all")

        contexts = (sandbox.context, before, after)
        found = [fine(each.run_code("open('a').read()")).text for each in contexts]
        assert found == ["'old'", "'new'", "'new'"]


def test_a_folder_that_a_branch_has_removed_is_made_again():
    with Sandbox(QUIET) as sandbox:
        sandbox.run_code("open('a', 'w').write('old')")
        (branch,) = sandbox.context.fork(1)
        branch.checkpoint("mine", files=True)
        fine(branch.run_code("import os, shutil; shutil.rmtree(os.getcwd())"))
        branch.restore("mine")

        assert sandbox.files.read(f"{branch.cwd}/a") == "old"
