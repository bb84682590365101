"""``protocell run``: code into a fresh sandbox, its output out as it comes, files saved, an exit code."""

from __future__ import annotations

import errno
import os
import signal
import stat
from dataclasses import dataclass

from protocell._session.core import Core
from protocell._session.lifecycle import Manner
from protocell._session.listeners import Listeners
from protocell._waiter import drive
from protocell._workspace.filesystem import Filesystem
from protocell.cli.arguments import (
    make_limits,
    make_policy,
    naming_options,
    read_code,
    read_files,
    read_mounts,
)
from protocell.cli.stopper import TERMINATED, Stopper
from protocell.cli.streams import Screen
from protocell.errors import FileError, ProtocellError
from protocell.execution import EXIT_CODES, Execution
from protocell.files import FileSet, WorkspaceFile
from protocell.limits import format_seconds, format_size
from protocell.policy import Policy

INTERRUPTED = EXIT_CODES["cancelled"]
NOBODY_READS = 128 + signal.SIGPIPE
_FILES_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was typed."""

    source: str
    files: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    timeout: float | None = None
    memory: str | None = None
    cpu: float | None = None
    preload: tuple[str, ...] = ()
    isolation: str = "kernel"
    waive: tuple[str, ...] = ()
    deny_imports: tuple[str, ...] | None = None
    allow_imports: tuple[str, ...] | None = None
    out: str | None = None
    overwrite: bool = False
    as_json: bool = False
    quiet: bool = False

    def policy(self) -> Policy:
        """The policy that the options describe."""
        with naming_options():
            return make_policy(
                limits=make_limits(timeout=self.timeout, memory=self.memory, cpu=self.cpu),
                mounts=read_mounts(self.mounts),
                preload=self.preload,
                isolation=self.isolation,
                waive=self.waive,
                deny_imports=self.deny_imports,
                allow_imports=self.allow_imports,
            )


def run(request: Request) -> int:
    """Run it; the exit code of the command."""
    with Stopper() as stopper:
        screen = Screen(stopper)
        try:
            return _run_or_say_why(request, stopper, screen)
        except BrokenPipeError:
            return NOBODY_READS  # as a program that SIGPIPE ends, and as silently
        except KeyboardInterrupt:
            return INTERRUPTED


def _run_or_say_why(request: Request, stopper: Stopper, screen: Screen) -> int:
    try:
        execution = _execute(request, stopper, screen)
        screen.flush()
        unsaved = _report(request, execution, screen)
    except ProtocellError as error:
        screen.complain(str(error))
        return error.exit_code
    except BrokenPipeError:
        raise
    except OSError as error:  # a full disk behind "> file"
        screen.complain(f"cannot write the output: {error.strerror}")
        return FileError.exit_code
    if stopper.terminated:
        return TERMINATED
    return EXIT_CODES[execution.status] or (FileError.exit_code if unsaved else 0)


def _execute(request: Request, stopper: Stopper, screen: Screen) -> Execution:
    code = read_code(request.source, stopper.wait_to_read)
    policy, files = request.policy(), read_files(request.files)
    # Once: nobody is left inside to change the files while they are saved.
    core = Core(policy, stopper, Manner(once=True))
    try:
        drive(core.open())
        drive(Filesystem(core, stopper).write_files(files))
        with screen.limited(policy.limits.wall_seconds), stopper.running(core):
            return drive(
                core.run_code(
                    code,
                    listeners=Listeners()
                    if request.as_json
                    else Listeners(on_stdout=screen.out.write, on_stderr=screen.err.write),
                )
            )
    finally:
        core.close()


def _report(request: Request, execution: Execution, screen: Screen) -> bool:
    """Show and save what came of it; whether some file could not be saved."""
    if request.as_json:
        screen.out.write(execution.to_json() + "\n")
    else:
        _show_results(execution, screen)
    unsaved: dict[str, str] = {}
    if request.out is not None:
        unsaved = save(execution.files, request.out, overwrite=request.overwrite)
    for reason in unsaved.values():
        screen.complain(reason)
    if not request.quiet and not request.as_json:
        shown = [file for path, file in execution.files.items() if path not in unsaved]
        screen.err.write_dim(f"protocell: {summary(execution, shown, request.out)}")
    return bool(unsaved)


def _show_results(execution: Execution, screen: Screen) -> None:
    for result in execution.results:
        if result.text is not None:
            screen.out.write_line(result.text)
    if execution.error is not None and execution.error.traceback:
        screen.err.write_line(execution.error.traceback)


def summary(execution: Execution, files: list[WorkspaceFile], out: str | None) -> str:
    """One line: status, time, reason if there is one to know, files."""
    line = f"{execution.status} in {format_seconds(round(execution.usage.wall_seconds, 3))}"
    if execution.status != "ok":
        line += f": {execution.reason}"
    if files:
        more = len(files) - _FILES_NAMED
        named = [_named(file) for file in files[:_FILES_NAMED]]
        named += [f"{more} more"] if more > 0 else []
        kept = f"saved in {out}" if out is not None else "not kept (--out DIR saves them)"
        line += f"; files {kept}: {', '.join(named)}"
    for reason, count in execution.files.left_out.items():
        line += f"; {count} left out: {reason}"
    if execution.enforced and "new-root" not in execution.enforced:
        line += "; NOT a sandbox: --isolation process has no kernel boundary"
    return line


def _named(file: WorkspaceFile) -> str:
    return f"{file.path} ({file.change}, {format_size(file.size)})"


def save(files: FileSet, folder: str, *, overwrite: bool) -> dict[str, str]:
    """Write all of them below a folder of this machine; why it could not be done, for each that was not."""
    unsaved: dict[str, str] = {}
    for path, file in files.items():
        target = os.path.join(folder, path)
        try:
            _make_folders(folder, path)
            file.save(target, overwrite=overwrite)
        except FileError as error:
            exists = (error.errno, error.path) == (errno.EEXIST, target)
            unsaved[path] = f"{target!r} exists; see --overwrite" if exists else str(error)
    return unsaved


def _make_folders(folder: str, path: str) -> None:
    """Make the folders that a file goes to; a link among them is not followed.

    The names are the code's choice: where DIR holds a link of the user's, it would lead the code out of DIR.
    """
    place = folder
    try:
        os.makedirs(folder, exist_ok=True)
        for part in path.split("/")[:-1]:
            place = os.path.join(place, part)
            if not os.path.lexists(place):
                os.mkdir(place)
            elif not stat.S_ISDIR(os.lstat(place).st_mode):
                raise FileError(f"cannot save {path!r}: {place!r} is not a folder", path=place)
    except OSError as error:
        if isinstance(error, FileError):
            raise
        text = f"cannot save {path!r} in {folder!r}: {error.strerror}"
        raise FileError(text, path=place, errno=error.errno) from error
