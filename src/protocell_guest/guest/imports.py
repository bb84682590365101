"""The import policy: a guard rail that tells model-written code what it should do without.

It is no boundary. The code runs in this process and can undo everything here; the kernel is what
holds it. It is here to explain: a model that reads "refused, allowed are pandas and numpy" writes
the next program without the module.

Whose imports are judged: those of the code itself, which are those that a frame of ``__main__``, of
a file in the workspace, of a skill, or of a namespace without a name asks for, by the import statement,
``__import__`` or ``importlib.import_module``. What a library imports for itself passes: pandas may
use ``os`` where the code may not. What C code imports on behalf of the code passes too; it is known
by the empty list that PyImport_Import gives as ``fromlist`` (``datetime.strptime`` imports
``_strptime`` in this way). Modules that are loaded already are judged like others.

IPython is such a library: what a magic imports passes, while the text of a cell is judged with it as without.
Only ``!ls`` and its kin are refused where ``subprocess`` is, being the same (``notebook_shell``).

The audit event "import" finds what gets past these functions, for ``deny`` only: it is raised for
modules that are not loaded yet, and not for every way to load one. An audit hook cannot be removed,
so without a policy there is none.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from os.path import isdir, isfile
from sys import _getframe
from typing import TYPE_CHECKING, Any, NamedTuple

from protocell_guest import skill_terms
from protocell_guest.guest.tool_spaces import would_import

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType, ModuleType

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_modules = sys.modules
_builtin_modules = frozenset(sys.builtin_module_names)
_MACHINERY = (
    "<frozen importlib._bootstrap>",
    "<frozen importlib._bootstrap_external>",
    importlib.__file__,
    __file__,
)
_NEEDED = ("__future__", "__main__")
_NAMES_SHOWN = 50
_SKILLS = f"{skill_terms.FOLDER}/"


class ImportPolicy(NamedTuple):
    """Names of modules; each stands for its sub-modules as well."""

    deny: tuple[str, ...]
    allow: tuple[str, ...] | None
    workspace: str

    @classmethod
    def of(
        cls, *, deny: Sequence[str] | None, allow: Sequence[str] | None, workspace: str
    ) -> ImportPolicy | None:
        """The policy, or None if it would refuse nothing. An empty ``allow`` allows nothing."""
        if not deny and allow is None:
            return None
        return cls(tuple(deny or ()), None if allow is None else tuple(allow), workspace)

    def denies(self, module: str) -> bool:
        """Whether the module or one of its parents is denied."""
        return _covers(self.deny, module)

    def check(self, module: object, names: Sequence[object]) -> None:
        """Judge ``import module``, or ``from module import names``.

        Raises:
            ImportError: refused; says by which part of the policy, and what is allowed.
        """
        if not isinstance(module, str) or module.startswith("."):
            return  # an error that the original function reports, or a module beside the code's own
        module = str.__str__(module)
        members = [f"{module}.{name}" for name in names]
        for candidate in (module, *members):
            if self.denies(candidate):
                raise self.refusal(candidate, f"deny_imports: {_listed(self.deny)}")
        if self.allow is None or _covers((*self.allow, *_NEEDED), module):
            return
        # "from xml import etree", where xml.etree is allowed and xml is not.
        if members and all(_covers(self.allow, member) for member in members):
            return
        package = module.partition(".")[0]
        if not (self._is_own(package) or would_import(package)):
            raise self.refusal(module, "allow_imports")

    def refusal(self, module: str, part: str) -> ImportError:
        """The error that the code gets. An ImportError, as ``.name`` may well be installed."""
        if self.allow is None:
            allowed = "everything else"
        else:
            allowed = _listed([name for name in self.allow if not self.denies(name)]) or "nothing"
        text = f"import of {module!r} is refused by the import policy ({part}). Allowed: {allowed}."
        return ImportError(text, name=module)

    def is_own_code(self, frame: FrameType) -> bool:
        """Whether the frame runs the code's own text."""
        name = dict.get(frame.f_globals, "__name__")
        if name is None or name == "__main__":
            return True
        return frame.f_code.co_filename.startswith((self.workspace + "/", _SKILLS))

    def _is_own(self, package: str) -> bool:
        """Whether it is a module that the code wrote: its imports are judged as the code's own."""
        file = getattr(_modules.get(package), "__file__", None)
        if isinstance(file, str):
            return file.startswith((self.workspace + "/", _SKILLS))
        if package == skill_terms.SPACE and isdir(skill_terms.FOLDER):
            return True
        path = f"{self.workspace}/{package}"
        return package not in _builtin_modules and (isfile(path + ".py") or isdir(path))


def install(policy: ImportPolicy) -> None:
    """Judge imports from now on, in this process and its children, for good."""
    original_import = builtins.__import__
    original_import_module = importlib.import_module

    def guarded_import(
        name: str,
        globals: Mapping[str, object] | None = None,
        locals: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        from_c = type(fromlist) is list and not fromlist and globals is locals
        if level == 0 and not from_c and policy.is_own_code(_getframe(1)):
            policy.check(name, fromlist or ())
        return original_import(name, globals, locals, fromlist or (), level)

    def guarded_import_module(name: str, package: str | None = None) -> ModuleType:
        if policy.is_own_code(_getframe(1)):
            policy.check(name, ())
        return original_import_module(name, package)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "import" and policy.denies(arguments[0]):
            frame = _issuer(_getframe(1))
            if frame is not None and policy.is_own_code(frame):
                policy.check(arguments[0], ())

    builtins.__import__ = guarded_import
    importlib.__import__ = guarded_import
    importlib.import_module = guarded_import_module
    if policy.deny:
        sys.addaudithook(hook)


def _issuer(frame: FrameType | None) -> FrameType | None:
    while frame is not None and frame.f_code.co_filename in _MACHINERY:
        frame = frame.f_back
    return frame


def _covers(names: Sequence[str], module: str) -> bool:
    return any(module == name or module.startswith(name + ".") for name in names)


def _listed(names: Sequence[str]) -> str:
    text = ", ".join(names[:_NAMES_SHOWN])
    more = len(names) - _NAMES_SHOWN
    return text if more <= 0 else f"{text} and {more} more"
