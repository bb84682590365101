"""Makes a file of a function that lives in the interpreter: its own text, and all that it needs to live elsewhere.

What a function looks up in its module goes along, and what that looks up in turn: imports, other functions and classes
of the code's, and constants, as they are now. What cannot be written down as text is refused by name, since a skill
that lacks something is found out only when it is used. Tools stay names: the sandbox of that time has its own.
"""

from __future__ import annotations
import __future__

import builtins
import sys
import warnings
from functools import reduce
from operator import or_
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from protocell_guest.guest import skill_definitions as definitions
from protocell_guest.guest.clipping import clip
from protocell_guest.guest.skill_about import about
from protocell_guest.guest.skill_definitions import Definition, is_own_module
from protocell_guest.guest.skill_literals import UnwritableError, literal
from protocell_guest.skill_terms import MOST_BYTES

if TYPE_CHECKING:
    import ast
    from collections.abc import Mapping

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_MISSING = object()
_MOST_PARTS = 200
_MOST_WRAPPERS = 20
_FUTURES = reduce(
    or_, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
)
_ANNOTATIONS = __future__.annotations.compiler_flag
_OF_EVERY_MODULE = frozenset((*vars(ModuleType("any")), "__builtins__", "__file__"))
# What is made by an expression that can be evaluated again: patterns, dates, aliases of types, named tuples.
_MADE_ANEW_NAMES = """
    re typing types datetime decimal fractions pathlib uuid collections functools operator enum string logging zoneinfo
"""
_MADE_ANEW = frozenset(_MADE_ANEW_NAMES.split())


class NotSavableError(ValueError):
    """It cannot be kept; the text says why, and what to do."""


class Draft(NamedTuple):
    """A function as a file."""

    name: str
    source: str
    about: str
    """What it takes and does, as JSON."""


def draft(thing: Any, name: str | None, offered: Mapping[str, Any]) -> Draft:
    """The file of a function; ``offered`` is what code finds without having made it.

    Raises:
        NotSavableError: it is no function of the code's, or needs what cannot be written down.
    """
    function = _plain(thing)
    if function is None:
        kind = clip(type(thing).__name__, 60)
        raise NotSavableError(f"it is no function that the code defined, but a {kind}")
    if not is_own_module(function.__module__):
        module = clip(str(function.__module__), 100)
        raise NotSavableError(f"it was not defined by the code, but imported from {module}")
    called = name or function.__name__
    gathering = _Gathering(offered, function)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the text is parsed again, and they have been told
        gathering.add(called, thing)
    source = gathering.text()
    if len(source.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        size = f"{len(source):,} characters; at most {MOST_BYTES:,} bytes"
        raise NotSavableError(f"with what it needs it has {size} are kept: let it load its data")
    return Draft(called, source, gathering.about)


def _plain(thing: Any) -> FunctionType | None:
    """The function in its decorators."""
    for _ in range(_MOST_WRAPPERS):
        wrapped = getattr(thing, "__wrapped__", None)
        if wrapped is None:
            break
        thing = wrapped
    return thing if type(thing) is FunctionType else None


class _Gathering:
    """The text of one function, while what it needs is looked for."""

    def __init__(self, offered: Mapping[str, Any], function: FunctionType) -> None:
        self._offered = offered
        self._function = function
        self._imports: dict[str, None] = {}
        self._parts: list[str] = []
        self._bound: dict[str, Any] = {}
        self._futures = 0
        self.about = ""

    def text(self) -> str:
        """All of it, in an order in which it can be run."""
        future = ["from __future__ import annotations\n"] if self._futures & _ANNOTATIONS else []
        imports = "\n".join(sorted(self._imports))
        return "\n\n".join([*future, *([imports + "\n"] if imports else []), *self._parts])

    def add(self, name: str, value: Any) -> None:
        """Bind a name in the file to what it means now.

        Raises:
            NotSavableError: it cannot be.
        """
        if self._bound.setdefault(name, value) is not value:
            raise NotSavableError(f"two things that it needs are called {name}: rename one")
        if len(self._bound) > _MOST_PARTS:
            raise NotSavableError(f"it needs more than {_MOST_PARTS} things beside it")
        ways = (self._module, self._defined, self._class, self._imported, self._constant)
        if not any(way(name, value) for way in ways) and not self._made_anew(name, value):
            raise NotSavableError(
                f"it uses {name}, {_described(value)}, which cannot be kept in a file: "
                "hand it over as an argument, or make it inside of the function"
            )

    # -- ways -------------------------------------------------------------------------------------

    def _module(self, name: str, value: Any) -> bool:
        if not isinstance(value, ModuleType):
            return False
        real = str(value.__name__)
        if is_own_module(real) or sys.modules.get(real) is not value:
            why = "a file of the workspace, which is not there later"
            raise NotSavableError(f"it uses the module {name}, {why}: import its functions by name")
        self._import(f"import {real}" if real == name else f"import {real} as {name}")
        return True

    def _defined(self, name: str, value: Any) -> bool:
        function = _plain(value)
        if function is None or not is_own_module(function.__module__):
            return False
        if function.__name__ == "<lambda>":
            return self._lambda(name, function)
        free = [each for each in function.__code__.co_freevars if each != "__class__"]
        if free:
            why = f"it uses {', '.join(free[:5])} of the function in which it was defined"
            raise NotSavableError(
                f"{name} cannot be kept alone, as {why}: define it at the top level"
            )
        found = definitions.of_function(function)
        if found is None:
            why = "is not known (was it made by exec, or by a cell that is long ago?)"
            raise NotSavableError(f"the text of {name} {why}: define it once more")
        self._futures |= function.__code__.co_flags & _FUTURES
        self._append_as(name, value, found, function.__globals__)
        if function is self._function:
            self.about = about(found.node)  # type: ignore[arg-type]  # of a function
        return True

    def _lambda(self, name: str, function: FunctionType) -> bool:
        """A lambda that a statement of its own gives its name to."""
        found = definitions.of_name(name, function.__module__)
        if function is self._function or found is None or function.__code__.co_freevars:
            raise NotSavableError(f"{name} is a lambda: define it with def")
        self._append(found, function.__globals__)
        return True

    def _class(self, name: str, value: Any) -> bool:
        if not isinstance(value, type) or not is_own_module(value.__module__):
            return False
        found = definitions.of_class(value)
        if found is None:
            return False  # perhaps it is made by an expression, as named tuples are
        self._append_as(name, value, found, _names_of(value.__module__))
        return True

    def _imported(self, name: str, value: Any) -> bool:
        for module in (getattr(value, "__module__", None), type(value).__module__):
            if type(module) is not str or is_own_module(module):
                continue
            home = sys.modules.get(module)
            for real in (getattr(value, "__name__", None), getattr(value, "_name", None), name):
                if type(real) is str and getattr(home, real, _MISSING) is value:
                    self._import_from(module, real, name)
                    return True
        return False

    def _import_from(self, module: str, real: str, name: str) -> None:
        if module == "builtins":
            self._parts.append(f"{name} = {real}\n")
        else:
            self._import(f"from {module} import {real}" + ("" if real == name else f" as {name}"))

    def _constant(self, name: str, value: Any) -> bool:
        try:
            self._parts.append(f"{name} = {literal(value)}\n")
        except UnwritableError:
            return False
        return True

    def _made_anew(self, name: str, value: Any) -> bool:
        kind = type(value)
        is_type = isinstance(value, type)
        if not is_type and kind.__module__.partition(".")[0] not in _MADE_ANEW:
            return False
        module = value.__module__ if is_type else self._function.__module__
        found = definitions.of_name(name, module)
        if found is None:
            return False
        self._append(found, _names_of(module))
        return True

    # -- parts ------------------------------------------------------------------------------------

    def _append_as(
        self, name: str, value: Any, found: Definition, namespace: Mapping[str, Any]
    ) -> None:
        """As ``_append``, of what is called otherwise in its own text, perhaps."""
        defined = str(getattr(found.node, "name", name))
        if self._bound.setdefault(defined, value) is not value:
            raise NotSavableError(f"two things that it needs are called {defined}: rename one")
        self._append(found, namespace)
        if name != defined:
            self._parts.append(f"{name} = {defined}\n")

    def _append(self, found: Definition, namespace: Mapping[str, Any]) -> None:
        """This statement, after what it needs."""
        futures = self._futures & _FUTURES
        for name in definitions.names_in(found.text, futures=futures):
            self._need(name, namespace, found.node)
        self._parts.append(found.text if found.text.endswith("\n") else found.text + "\n")

    def _need(self, name: str, namespace: Mapping[str, Any], node: ast.AST) -> None:
        value = namespace.get(name, _MISSING)
        if value is _MISSING or value is getattr(builtins, name, _MISSING):
            return
        if name in _OF_EVERY_MODULE:
            return  # what stands in the file has its own
        if value is self._offered.get(name, _MISSING):
            return  # it is there in the other sandbox, or is not: then the call says so
        if isinstance(value, ModuleType):
            self._import_parts(value, name, node)
        if self._bound.get(name, _MISSING) is not value:
            self.add(name, value)

    def _import_parts(self, module: ModuleType, name: str, node: ast.AST) -> None:
        """Modules in a module have to be imported by their own names."""
        for path in definitions.attributes_in(node, name):
            parts = [str(module.__name__), *path.split(".")]
            for count in range(len(parts), 1, -1):
                if ".".join(parts[:count]) in sys.modules:
                    self._import(f"import {'.'.join(parts[:count])}")
                    break

    def _import(self, line: str) -> None:
        self._imports[line] = None


def _names_of(module: str) -> Mapping[str, Any]:
    return vars(sys.modules[module]) if module in sys.modules else {}


def _described(value: Any) -> str:
    kind = type(value)
    module = str(kind.__module__).partition(".")[0]
    name = kind.__name__ if module in ("builtins", "__main__") else f"{module}.{kind.__name__}"
    return f"a {clip(str(name), 80)}"
