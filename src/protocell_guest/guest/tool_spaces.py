"""A namespace for each server of tools, which can be imported as well: many write ``import shop`` before its use.

The namespace itself is what an import gives, so that it means the same under each name, and what is offered later is
found under all of them. The finder stands last in sys.meta_path: a module of that name that is on the path is what an
import gives, and ``call_tool`` calls the tool all the same.
"""

from __future__ import annotations

import builtins
import sys
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from protocell_guest.card_index import ANY_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import ModuleType

    Card = dict[str, Any]

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

_modules: dict[str, Any] = sys.modules
_OWN = ("_cards", "_made")
_MOST_TOLD = 400
_MOST_CHARACTERS = 160
"""Of the line of one tool in ``help()``."""


class Spaces:
    """The namespaces that there are; finds them, as sys.meta_path wants it."""

    def __init__(self, make: Callable[[Card], Callable[..., Any]]) -> None:
        """``make`` gives the function of a tool."""
        self._make = make
        self._spaces: dict[str, Namespace] = {}

    def put(self, cards: Mapping[str, dict[str, Card]]) -> Mapping[str, Namespace]:
        """These are the tools from now on, by namespace and name; a namespace that stays is the same object."""
        for name in [name for name in self._spaces if name not in cards]:
            gone = self._spaces.pop(name)
            gone._learn({})
            if _modules.get(name) is gone:
                del _modules[name]
        for name, each in cards.items():
            if name not in self._spaces:
                self._spaces[name] = Namespace(self, name)
            self._spaces[name]._learn(each)
        if self._spaces and self not in sys.meta_path:
            sys.meta_path.append(self)
        return self._spaces

    def __contains__(self, name: object) -> bool:
        return name in self._spaces

    def function(self, card: Card) -> Callable[..., Any]:
        """The function that calls this tool."""
        return self._make(card)

    # -- importlib's ------------------------------------------------------------------------------

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Of a namespace; always the same one, so that an import changes nothing of it."""
        space = self._spaces.get(fullname)
        return None if space is None else space.__spec__

    def create_module(self, spec: ModuleSpec) -> Any:
        """The one that is there already."""
        return self._spaces[spec.name]

    def exec_module(self, module: Any) -> None:
        """There is nothing to run."""


class Namespace:
    """The tools of one server; ``dir()`` lists them, ``help()`` tells of each."""

    def __init__(self, spaces: Spaces, name: str) -> None:
        loader: Any = spaces
        self.__name__ = name
        # importlib sets what is missing; nothing is, since an attribute more would seem to be the code's.
        self.__loader__ = loader
        self.__package__ = ""
        self.__spec__ = ModuleSpec(name, loader, origin="tools")
        self._cards: Mapping[str, Card] = {}
        self._made: dict[str, Any] = dict(vars(self))
        self._made["_made"] = self._made

    def _learn(self, cards: Mapping[str, Card]) -> None:
        """These are its tools from now on; of one whose card is another one, nothing is kept."""
        for name, card in self._cards.items():
            made = self._made.pop(name, None) if cards.get(name) != card else None
            if made is not None and vars(self).get(name) is made:
                del vars(self)[name]
        self._cards = self._made["_cards"] = cards

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":
            return dir(self)
        if name.startswith("__"):  # whoever looks at modules asks for some that there never are
            raise AttributeError(name)
        card = self._cards.get(name)
        # What shows values asks for names with an underscore (_repr_html_), and calls what it gets.
        if card is None and ANY_NAME in self._cards and not name.startswith("_"):
            any_card = self._cards[
                ANY_NAME
            ]  # not kept: when the server is there, it is another one
            own = {"id": any_card["id"].removesuffix(ANY_NAME) + name, "name": name}
            return self.__loader__.function({**any_card, **own})
        if card is None:
            raise AttributeError(_unknown(self.__name__, name, self._cards), name=name, obj=self)
        return self.__dict__.setdefault(name, self._function(name))

    def _function(self, name: str) -> Any:
        """The one function of a tool, whatever the code has put in its place."""
        if name in _OWN:
            return self.__loader__.function(self._cards[name])
        if name not in self._made:
            self._made[name] = self.__loader__.function(self._cards[name])
        return self._made[name]

    def __dir__(self) -> list[str]:
        return sorted(name for name in self._cards if name != ANY_NAME)

    def __iter__(self) -> Iterator[Callable[..., Any]]:
        return (getattr(self, name) for name in dir(self))

    def __len__(self) -> int:
        return len(dir(self))

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"<{len(self)} tools of {self.__name__}: {', '.join(dir(self)[:20])}>"


def _told(space: Namespace) -> str:
    """One line for each tool."""
    names = dir(space)
    lines = [_line(space, name) for name in names[:_MOST_TOLD]]
    if len(names) > _MOST_TOLD:
        lines.append(f"... and {len(names) - _MOST_TOLD} more: see dir({space.__name__})")
    lines += [space._cards[ANY_NAME]["doc"]] if ANY_NAME in space._cards else []
    return "\n".join([f"The tools of {space.__name__}:", *lines])


def _line(space: Namespace, name: str) -> str:
    function: Any = space.__loader__.function(space._cards[name])
    first = str(function.__doc__ or "").strip().partition("\n")[0]
    line = f"{name}{function.__signature__}{first and '  # '}{first}"
    return line if len(line) <= _MOST_CHARACTERS else f"{line[: _MOST_CHARACTERS - 3]}..."


# Of each namespace its own, and of none the name of the file that this is.
Namespace.__doc__ = property(_told)  # type: ignore[assignment]
Namespace.__module__ = "__main__"


def is_as_made(thing: object) -> bool:
    """Whether it is a function, or a namespace of tools that has got no attributes of the code's."""
    if type(thing) is not Namespace:
        return callable(thing)
    made = thing._made
    return all(made.get(name) is value for name, value in vars(thing).items())


def would_import(name: str) -> bool:
    """Whether an import of this name gives a namespace of tools, and not a module that is on the path."""
    if not any(isinstance(each, Spaces) and name in each for each in sys.meta_path):
        return False
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):  # a module in sys.modules that does not say where it is from
        return False
    return spec is not None and isinstance(spec.loader, Spaces)


def _unknown(server: str, name: str, cards: Mapping[str, Card]) -> str:
    import difflib  # noqa: PLC0415  (for this sentence alone)

    near = difflib.get_close_matches(name, cards, n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else f"; see dir({server})"
    return f"{server} has no tool {name!r}{hint}"
