"""IPython's InteractiveShell as it is to be here: no files, no threads, no colors, no prompts, no questions.

Theory of operation
-------------------
One is made per process tree, in the template, since making one takes a while; IPython wants it to be the
only one.  ``adopt`` gives it to a namespace and makes everything new that belongs to a session: the history
(in memory, without a database and its thread), what was shown, the folder stack.

It does not run cells: ``notebook.Notebook`` does.  IPython's own ``run_cell`` is there for magics such as
``%%capture`` and for code that calls it.  What fails in there is kept as ``failure``: a notebook would show it.

Where the import policy refuses ``subprocess``, it refuses ``!ls`` and ``%%bash`` as well, which are the same
by other names.  What IPython imports for itself, and for a magic, passes like the imports of any library.
"""

from __future__ import annotations

import atexit
import builtins
import os
import subprocess
import sys
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from protocell_guest.guest import commands, magics
from protocell_guest.guest.display import Screen, Shown
from protocell_guest.guest.leaving import Leave
from protocell_guest.guest.notebook_display import DisplayHook, Formatter, Publisher, print_page
from protocell_guest.guest.notebook_store import Store
from protocell_guest.guest.plain_tracebacks import hide
from protocell_guest.guest.tracebacks import Failure, describe

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from protocell_guest.guest.imports import ImportPolicy

# Functions of this module keep these builtins when the code assigns to builtins.str or the like.
globals()["__builtins__"] = dict(vars(builtins))

_core: Any = import_module("IPython.core.interactiveshell")
_async: Any = import_module("IPython.core.async_helpers")
_history: Any = import_module("IPython.core.history")
_functions: Any = import_module("IPython.core.display_functions")
_errors: Any = import_module("IPython.core.error")
_text: Any = import_module("IPython.utils.text")
_config: Any = import_module("traitlets.config")
_observe: Any = import_module("traitlets").observe
UsageError: type[Exception] = _errors.UsageError

_OLDEST = (8, 0)
_FOLDER = "/tmp/ipython-of-this-sandbox"  # there is none
_NO_COLOR = {8: "NoColor"}  # later ones want lower case

version: tuple[int, ...] = import_module("IPython").version_info[:2]
if version < _OLDEST:
    raise ImportError(f"IPython {version} is older than {_OLDEST}")
_core.PickleShareDB = lambda _root: Store()  # which makes a folder at once up to IPython 9.10
hide(os.path.dirname(_core.__file__).removesuffix("/core"))


class Shell(_core.InteractiveShell):  # type: ignore[misc]
    """The only one of its process."""

    configurables: list[Any]
    last_execution_result: Any
    profile_dir = SimpleNamespace(location=f"{_FOLDER}/profile_default")

    def __init__(self) -> None:
        self.screen, self._db = Screen(), Store()
        self.failure: Failure | None = None
        self.last_failure: Failure | None = None
        self.policy: ImportPolicy | None = None
        main = sys.modules.get("__main__")
        config = _config.Config()
        config.InteractiveShell.colors = _NO_COLOR.get(version[0], "nocolor")
        config.InteractiveShell.xmode = "Plain"
        config.InteractiveShell.show_rewritten_input = False
        super().__init__(config=config, displayhook_class=DisplayHook, display_pub_class=Publisher)
        atexit.unregister(self.atexit_operations)
        if main is not None:
            sys.modules["__main__"] = main
        self.builtin_trap.auto_builtins = {"get_ipython": self.get_ipython}
        magics.register(self)
        self.set_hook("show_in_pager", print_page, 0)
        self.extension_manager.load_extension("storemagic")

    # -- what is done otherwise while one is made -------------------------------------------------

    def init_ipython_dir(self, ipython_dir: str | None = None) -> None:  # noqa: ARG002  (IPython's)
        """A name of a folder that is not there: nothing is written."""
        self.ipython_dir = _FOLDER

    @_observe("ipython_dir")  # type: ignore[untyped-decorator]
    def _ipython_dir_changed(self, change: Any) -> None:
        """IPython would make it."""

    def init_profile_dir(self, profile_dir: Any = None) -> None:
        """None: a profile has a user's settings and start-up files, and is made where there is none."""

    def init_virtualenv(self) -> None:
        """Packages are where the template has found them."""

    def init_completer(self) -> None:
        """Nobody types here."""
        self.Completer = None

    def init_history(self) -> None:
        """In memory, and no thread that saves it."""
        self.history_manager = _history.HistoryManager(
            shell=self, parent=self, enabled=False, hist_file=":memory:"
        )

    def init_display_formatter(self) -> None:
        """Ours."""
        self.display_formatter = Formatter(parent=self)
        self.configurables.append(self.display_formatter)

    # -- a session --------------------------------------------------------------------------------

    def adopt(self, main: ModuleType, screen: Screen) -> None:
        """Belong to this module and this screen, with nothing of a session before."""
        self.screen, self.policy = screen, None
        self.failure = self.last_failure = None
        self.custom_exceptions: tuple[type[BaseException], ...] = ()
        self.user_module, self.user_ns = self.prepare_user_module(main, vars(main))
        self.user_ns_hidden: dict[str, Any] = {}
        self._main_mod_cache: dict[str, Any] = {}
        spaces = {"user_global": vars(main), "user_local": vars(main), "builtin": vars(builtins)}
        self.ns_table: dict[str, Any] = spaces
        self.starting_dir = os.getcwd()
        self.home_dir = os.path.expanduser("~")
        self.dir_stack: list[str] = []
        self.tempfiles: list[Any] = []
        self.tempdirs: list[Any] = []
        self.execution_count = 1
        self._db = Store()
        self.configurables = list(self.configurables)
        self.init_history()
        self.init_user_ns()
        self.init_displayhook()
        # For good: a nested cell that ends takes away what it put there, and not what was there before.
        self.display_trap.__enter__()
        if not self.builtin_trap._nested_level:
            self.builtin_trap.__enter__()

    def begin_here(self) -> None:
        """Take this folder for the first one; ``adopt`` may have been done elsewhere."""
        self.starting_dir = os.getcwd()
        history = self.history_manager
        history.dir_hist[:] = history._dir_hist_default()

    def init_user_ns(self) -> None:
        """As IPython, but for ``open``, which is the builtin, and ``exit``, which ends the cell."""
        super().init_user_ns()
        leave = Leave(self)
        for names in (self.user_ns, self.user_ns_hidden):
            names.pop("open", None)
            names |= {"exit": leave, "quit": leave}

    @property
    def db(self) -> Store:
        """What IPython would keep for the next session."""
        return self._db

    @db.setter
    def db(self, value: Any) -> None:
        self._db = value

    def enter_builtins(self) -> Callable[..., object]:
        """Be found by code that imports nothing; returns ``display``."""
        display: Callable[..., object] = _functions.display
        ours = {"__IPYTHON__": True, "get_ipython": self.get_ipython, "display": display}
        vars(builtins).update(ours)
        return display

    def show_value(self, value: object, *, main: bool = False) -> None:
        """Show the value of an expression, and remember it as ``_`` and in ``Out``."""
        formats, _ = self.display_formatter.format(value)
        self.displayhook.update_user_ns(value)
        if formats:
            self.screen.put(Shown(formats, main=main))

    def del_var(self, varname: str, by_name: bool = False) -> None:  # noqa: FBT001, FBT002
        """``%xdel``, which looks for the value in what the last ``run_cell`` came to as well."""
        if self.last_execution_result is None:
            self.last_execution_result = _core.ExecutionResult(None)
        super().del_var(varname, by_name)

    # -- programs ---------------------------------------------------------------------------------

    def system(self, cmd: str) -> None:
        """Run a command of the system's shell: ``!cmd``."""
        self.check_commands()
        command = commands.shell_command(self.var_expand(cmd, depth=1))
        code = commands.exit_code(commands.run(command))
        self.user_ns["_exit_code"] = code
        if code and getattr(self, "system_raise_on_error", False):
            raise subprocess.CalledProcessError(code, cmd)

    system_raw = system_piped = system

    def getoutput(self, cmd: str, split: bool = True, depth: int = 0) -> Any:  # noqa: FBT001, FBT002
        """What a command writes, as lines or as text: ``x = !cmd``."""
        self.check_commands()
        command = commands.shell_command(self.var_expand(cmd, depth=depth + 1))
        code, text = commands.output_of(command)
        self.user_ns["_exit_code"] = commands.exit_code(code)
        return _text.SList(text.splitlines()) if split else _text.LSString(text)

    def check_commands(self) -> None:
        """Refuse commands where the import policy refuses what code starts programs with.

        Raises:
            ImportError: it does.
        """
        if self.policy is None:
            return
        try:
            self.policy.check("subprocess", ())
        except ImportError as error:
            raise ImportError(f"commands are run by subprocess, and {error}") from None

    # -- what there is nobody for -----------------------------------------------------------------

    def ask_yes_no(self, *_question: object, **_options: object) -> bool:
        """Nobody answers; who asks knows what to do then."""
        raise _errors.StdinNotImplementedError("nobody is there to answer")

    def set_next_input(self, *_text: object, **_options: object) -> None:
        """There is no line to be edited."""
        raise UsageError("nobody is there to edit a next cell: use open() or %run.")

    def enable_gui(self, gui: str | None = None) -> None:
        """There is no display; plots come out as pictures."""

    def enable_matplotlib(self, gui: str | None = None) -> Any:
        """``%matplotlib``: whatever is asked for, figures come out as with "inline"."""
        if gui not in (None, "auto", "inline"):
            sys.stderr.write(
                f"There is no display here for {gui}; figures come out as with inline.\n"
            )
        return super().enable_matplotlib("inline")

    # -- errors -----------------------------------------------------------------------------------

    def showtraceback(self, exc_tuple: Any = None, *_more: object, **_options: object) -> None:
        """Of an error that IPython has caught: on standard error, and kept for the end of the cell."""
        error = (exc_tuple or sys.exc_info())[1]
        if error is None:
            sys.stderr.write("No traceback available to show.\n")
            return
        failure = failure_of(error)
        sys.stderr.write(failure.traceback)
        if not isinstance(error, SystemExit):
            self.failure = self.last_failure = failure

    def showsyntaxerror(self, *_more: object, **_options: object) -> None:
        """As ``showtraceback``."""
        self.showtraceback()

    def takes(self, error: BaseException) -> bool:
        """Give an error to the code's own handler (``set_custom_exc``), if that is for it."""
        is_wanted = isinstance(error, self.custom_exceptions)
        if is_wanted:
            self.CustomTB(type(error), error, error.__traceback__)
        return is_wanted

    def show_last_failure(self) -> None:
        """The last error once more: ``%tb``."""
        text = self.last_failure.traceback if self.last_failure else "No error so far.\n"
        sys.stderr.write(text)

    # -- awaiting ---------------------------------------------------------------------------------

    @staticmethod
    def share_loop(loop: object) -> None:
        """Let IPython's own runner use this event loop."""
        _async._asyncio_event_loop = loop


def failure_of(error: BaseException) -> Failure:
    """The error as text; that of a magic has no frames, as in a notebook."""
    failure = describe(error)
    if type(error) is UsageError:
        return failure._replace(traceback=f"UsageError: {failure.value}\n")
    return failure
