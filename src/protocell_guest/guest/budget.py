"""How much of what a cell shows is sent: what is too long becomes a file in the workspace, with a preview.

The host has the same numbers, and ends a sandbox that sends more (``protocell._running.messages``).
"""

from __future__ import annotations

import builtins
import os
from typing import TYPE_CHECKING

from protocell_guest.guest.clipping import clip
from protocell_guest.guest.display import PLAIN
from protocell_guest.guest.frames import DATA, WHOLE

if TYPE_CHECKING:
    from protocell_guest.guest.display import Clear, Shown

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

MOST_RESULTS = 100
"""Values that stand at once, beside that of the last expression; what was cleared away or replaced does not count."""
MOST_EVENTS = 10_000
"""Values, replacements and clearings of one execution together."""
MOST_FORMS = 16
MOST_DISPLAY_ID = 200

_FOLDER = "results"
_LEAST_TEXT = 1024  # the host allows for it beyond the budget, see SLACK_BYTES there
_MOST_NAMES = 20
_CUT_WELL = (PLAIN, "text/markdown", "text/latex")  # head and tail of markup are no markup
_ENDINGS = {
    PLAIN: "txt",
    "text/html": "html",
    "text/markdown": "md",
    "text/latex": "tex",
    "image/svg+xml": "svg",
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/gif": "gif",
    "application/pdf": "pdf",
    "application/javascript": "js",
}
_BINARY = ("image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf")


class Budget:
    """What one execution may still send."""

    def __init__(self, number: int, *, item_bytes: int, all_bytes: int, folder: str) -> None:
        self.left_out = 0
        self._number = number
        self._item_bytes = item_bytes
        self._all_bytes = all_bytes
        self._folder = folder
        self._events = 0
        self._items = 0
        self._standing: list[tuple[str | None, int]] = []
        self._clear_next = False

    def clears(self, clear: Clear) -> bool:
        """Whether this clearing may be sent."""
        if self._events >= MOST_EVENTS:
            return False
        self._events += 1
        self._clear_next = clear.wait
        if not clear.wait:
            self._standing.clear()
        return True

    def fit(self, shown: Shown) -> Shown | None:
        """The value as it may be sent; None, and counted, if there is no room for any more of them."""
        if self._clear_next:
            self._standing.clear()
            self._clear_next = False
        display = None if shown.display is None else clip(shown.display, MOST_DISPLAY_ID)
        places = [] if display is None else self._places(display)
        is_one_more = not (shown.update and places)
        # There is room for the value of the last expression, however many were shown before it.
        is_full = is_one_more and len(self._standing) >= MOST_RESULTS + shown.main
        if is_full or (self._events >= MOST_EVENTS and not shown.main):
            self.left_out += 1
            return None
        self._events += not shown.main
        self._items += 1
        others = sum(size for place, (_, size) in enumerate(self._standing) if place not in places)
        room = max(0, self._all_bytes - others) // (len(places) + is_one_more)
        fitted = self._cut(shown._replace(display=display), min(self._item_bytes, room))
        stands = (display, sum(map(_size, fitted.formats.values())))
        for place in places:
            self._standing[place] = stands
        if is_one_more:
            self._standing.append(stands)
        return fitted

    def _places(self, display: str | None) -> list[int]:
        return [place for place, (name, _) in enumerate(self._standing) if name == display]

    # -- one value ------------------------------------------------------------------------------------

    def _cut(self, shown: Shown, room: int) -> Shown:
        """The value in so many bytes: what is too long as a file, with a preview where one makes sense."""
        if len(shown.formats) > MOST_FORMS:
            first = [mime for mime in shown.formats if mime != PLAIN][: MOST_FORMS - 1]
            shown = shown._replace(formats={mime: shown.formats[mime] for mime in (PLAIN, *first)})
        files, notes = dict[str, str](), list[str]()
        shown = self._with_whole_frame(shown, room, files, notes)
        sizes = {mime: _size(text) for mime, text in shown.formats.items()}
        if sum(sizes.values()) <= room and not notes:
            return shown._replace(files=files)
        for_text = min(sizes[PLAIN], max(_LEAST_TEXT, room // 2))
        left, kept = room - for_text, {PLAIN}
        for mime in sorted(sizes.keys() - {PLAIN}, key=lambda one: (sizes[one], one)):
            if sizes[mime] <= left:
                left -= sizes[mime]
                kept.add(mime)
        for_text += max(0, left)
        for mime, size in sizes.items():
            if mime in files:
                continue
            if mime not in kept or (mime == PLAIN and size > for_text):
                self._spill(mime, shown.formats[mime], files, notes)
        formats = {mime: text for mime, text in shown.formats.items() if mime in kept}
        formats[PLAIN] = clip(formats[PLAIN], for_text) + "".join(notes)
        return shown._replace(formats=formats, files=files)

    def _with_whole_frame(
        self, shown: Shown, room: int, files: dict[str, str], notes: list[str]
    ) -> Shown:
        """A data frame as a whole if that fits, else as its preview, with the whole in a file."""
        if WHOLE not in shown.formats:
            return shown
        preview = {mime: text for mime, text in shown.formats.items() if mime != WHOLE}
        formats = preview | {DATA: shown.formats[WHOLE]}
        if sum(map(_size, formats.values())) <= room:
            return shown._replace(formats=formats)
        self._spill(DATA, formats[DATA], files, notes)
        return shown._replace(formats=preview)

    def _spill(self, mime: str, text: str, files: dict[str, str], notes: list[str]) -> None:
        """Write a form into a file of the workspace, and its name into ``files``."""
        try:
            data = _decoded(text) if mime in _BINARY else _encoded(text)
            os.makedirs(f"{self._folder}/{_FOLDER}", exist_ok=True)
            files[mime] = self._written(_ENDINGS.get(mime) or _ending(mime), data)
        except (OSError, ValueError) as error:
            notes.append(f"\n[{mime}, {_size(text):,} bytes, is left out: {error}]")

    def _written(self, ending: str, data: bytes) -> str:
        for more in range(_MOST_NAMES):
            name = f"{self._number}-{self._items}" + (f"-{more + 1}" if more else "")
            path = f"{_FOLDER}/{name}.{ending}"
            try:
                with open(f"{self._folder}/{path}", "xb") as file:
                    file.write(data)
            except FileExistsError:
                continue
            return path
        raise FileExistsError(f"no free name in {_FOLDER}")


def _ending(mime: str) -> str:
    """Of a type that has none of its own."""
    name = mime.partition("/")[2]
    if name.endswith("json"):
        own = name.removesuffix("+json").rpartition(".")[2]
        return f"{own}.json" if own in {"data", "chart"} else "json"
    return "txt" if mime.startswith("text/") else "bin"


def _decoded(text: str) -> bytes:
    from binascii import a2b_base64  # noqa: PLC0415  (an extension module that few sandboxes need)

    return a2b_base64(text)


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
