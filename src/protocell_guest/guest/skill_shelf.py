"""The skills of a context: functions in files that the host keeps, imported when they are first looked at.

Theory of operation
-------------------
The host tells the text of each skill before the execution that is to find it, so that what was saved a moment ago, in
this sandbox or in another one, is what runs; the folder is mounted as well, for whoever wants to read it. (What is
mounted is a view of the folder, and a view goes on showing the file that it has shown before, when the host has put
another one in its place.)

``skills`` is a package: ``skills.totals(...)``, ``from skills import totals`` and ``from skills.totals import totals``
all work. Its finder stands last in sys.meta_path, so that nothing that is installed is hidden by a skill. What code
finds without having made it (tools, ``call_tool``) a skill finds too: these names are its builtins.
"""

from __future__ import annotations

import builtins
import linecache
import sys
from _thread import RLock
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from protocell_guest.ranking import nearest
from protocell_guest.skill_terms import FOLDER, SPACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_modules = sys.modules


class Shelf:
    """What skills there are; finds and loads them, as sys.meta_path wants it."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._world: dict[str, Any] = {}
        self._loaded: dict[str, ModuleType] = {}
        self._loading = RLock()
        self.package = Package(self)

    def put(self, texts: Mapping[str, str]) -> None:
        """These are the skills from now on; of one whose text is another one, nothing is kept."""
        for name in [*self._texts]:
            if texts.get(name) != self._texts[name]:
                self._forget(name)
        self._texts = dict(texts)

    def offer(self, names: Mapping[str, Any]) -> None:
        """What code finds without having made it, a skill finds as well."""
        now = {**vars(builtins), **names}
        self._world.update(now)  # at no moment without them: a thread of the code may be in a skill
        for name in [*self._world]:
            if name not in now:
                del self._world[name]
        if self not in sys.meta_path:
            sys.meta_path.append(self)

    def names(self) -> list[str]:
        """Of the skills."""
        return sorted(self._texts)

    def __contains__(self, name: object) -> bool:
        return name in self._texts

    def function(self, name: str) -> Callable[..., Any]:
        """The function that a skill is; its file is run when that is first wanted.

        Raises:
            AttributeError: there is no such skill, or no such function in its file.
        """
        if name not in self._texts:
            near = nearest(name, self._texts, 3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"see dir({SPACE})"
            raise AttributeError(f"there is no skill {name!r}; {hint}", name=name, obj=self.package)
        if self not in sys.meta_path:
            sys.meta_path.append(self)
        found: Callable[..., Any] | None = vars(self._module(name)).get(name)
        if found is None:
            raise AttributeError(f"the file of the skill {name!r} does not define {name}")
        return found

    def _module(self, name: str) -> ModuleType:
        """As import does it; where something else that is called ``skills`` is installed as well."""
        with self._loading:
            if name in self._loaded:
                return self._loaded[name]
            spec = self._spec(f"{SPACE}.{name}", _file(name))
            module = module_from_spec(spec)
            in_place = _modules.setdefault(spec.name, module)
            try:
                self.exec_module(module)
            except BaseException:
                if in_place is module:
                    _modules.pop(spec.name, None)
                raise
            return module

    def _forget(self, name: str) -> None:
        module = self._loaded.pop(name, None)
        if module is not None and _modules.get(f"{SPACE}.{name}") is module:
            del _modules[f"{SPACE}.{name}"]
        linecache.cache.pop(_file(name), None)

    # -- importlib's ------------------------------------------------------------------------------

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Of ``skills`` and of what is in it."""
        space, _, name = fullname.rpartition(".")
        if fullname == SPACE:
            # Its path is empty: what is in it is found here, and not in the folder, which may show an older text.
            return self._spec(SPACE, _file("__init__"), is_package=True)
        if space != SPACE or name not in self._texts:
            return None
        return self._spec(fullname, _file(name))

    def _spec(self, fullname: str, file: str, *, is_package: bool = False) -> ModuleSpec:
        loader: Any = self
        spec = ModuleSpec(fullname, loader, origin=file, is_package=is_package)
        spec.has_location = True
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """The one that is there already, if one is."""
        return self.package if spec.name == SPACE else self._loaded.get(spec.name[len(SPACE) + 1 :])

    def exec_module(self, module: ModuleType) -> None:
        """Run the text of a skill."""
        name = module.__name__.rpartition(".")[2]
        if module is self.package or self._loaded.get(name) is module:
            return
        text, file = self._texts[name], _file(name)
        # Without a time, so that nobody looks whether the file is another one by now.
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        vars(module)["__builtins__"] = self._world
        exec(compile(text, file, "exec", dont_inherit=True), vars(module))  # noqa: S102  (as a module is)
        self._loaded[name] = module

    def get_source(self, fullname: str) -> str | None:
        """For whoever wants to see it."""
        return self._texts.get(fullname.rpartition(".")[2])


class Package(ModuleType):
    """``skills``: a function for each skill, and ``save``."""

    def __init__(self, shelf: Shelf) -> None:
        super().__init__(
            SPACE, "Functions that were saved; search_tools and dir(skills) find them."
        )
        super().__setattr__("_shelf", shelf)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._shelf.function(name)

    def __setattr__(self, name: str, value: Any) -> None:
        # Who imports skills.totals has it set here as a module, which would hide the function.
        if not (isinstance(value, ModuleType) and name in self._shelf):
            super().__setattr__(name, value)

    def is_as_made(self) -> bool:
        """Whether the code has given it no attributes."""
        own = {*vars(self)} - {"_shelf", "save"}
        return all(name.startswith("__") for name in own)

    def is_imported(self) -> bool:
        """Whether an import of its name gives it, and no module that is on the path."""
        if SPACE in _modules:
            return _modules[SPACE] is self
        spec = find_spec(SPACE)
        return spec is not None and spec.loader is self._shelf

    def __dir__(self) -> list[str]:
        return [*self._shelf.names(), *(["save"] if "save" in vars(self) else [])]

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        return (getattr(self, name) for name in self._shelf.names())

    def __len__(self) -> int:
        return len(self._shelf.names())

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<{len(self)} {SPACE}: {', '.join(self._shelf.names()[:20])}>"


def _file(name: str) -> str:
    return f"{FOLDER}/{name}.py"
