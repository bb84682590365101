"""A value that the code showed, in all the forms that it has; every one of them was chosen by guest code.

Names are those of E2B's code-interpreter SDK. There is no ``_repr_html_``, because markup from inside would
run in the notebook that shows it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from protocell._printable import printable_line

_SHORT_NAMES = {
    "text": "text/plain",
    "html": "text/html",
    "markdown": "text/markdown",
    "svg": "image/svg+xml",
    "png": "image/png",
    "jpeg": "image/jpeg",
    "pdf": "application/pdf",
    "latex": "text/latex",
    "json": "application/json",
    "javascript": "application/javascript",
    "data": "application/vnd.protocell.data+json",
    "chart": "application/vnd.protocell.chart+json",
}
_MIME_TO_SHORT = {mime: short for short, mime in _SHORT_NAMES.items()}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Result:
    """One value to show: that of the last expression, or one that the code displayed."""

    by_mime: Mapping[str, str]
    """Its forms by MIME type, binary ones in base64; unverified text from inside."""
    is_main_result: bool = False
    """Whether it is the value of the last expression."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Forms that were over ``Limits.result_bytes``: MIME type to path in the workspace, for ``files.read``.

    The code can have removed the file since, or put something else there.
    """

    def formats(self) -> list[str]:
        """The forms that there are, by E2B's short names ("text", "png"), else by MIME type."""
        return [_MIME_TO_SHORT.get(mime, mime) for mime in self.by_mime]

    def __getitem__(self, form: str) -> str:
        return self.by_mime[_SHORT_NAMES.get(form, form)]

    @property
    def text(self) -> str | None:
        """The plain form; there always is one of what came from inside."""
        return self.by_mime.get("text/plain")

    @property
    def html(self) -> str | None:
        """Markup from inside: hostile to a browser, so show it in a sandboxed frame or not at all."""
        return self.by_mime.get("text/html")

    @property
    def markdown(self) -> str | None:
        """Markdown from inside."""
        return self.by_mime.get("text/markdown")

    @property
    def svg(self) -> str | None:
        """An SVG picture, which is markup too."""
        return self.by_mime.get("image/svg+xml")

    @property
    def png(self) -> str | None:
        """A PNG picture in base64."""
        return self.by_mime.get("image/png")

    @property
    def jpeg(self) -> str | None:
        """A JPEG picture in base64."""
        return self.by_mime.get("image/jpeg")

    @property
    def pdf(self) -> str | None:
        """A PDF document in base64."""
        return self.by_mime.get("application/pdf")

    @property
    def latex(self) -> str | None:
        """LaTeX from inside."""
        return self.by_mime.get("text/latex")

    @property
    def json(self) -> str | None:
        """The JSON text as it came; parsing what a stranger wrote is left to who wants it."""
        return self.by_mime.get("application/json")

    @property
    def javascript(self) -> str | None:
        """A script from inside."""
        return self.by_mime.get("application/javascript")

    @property
    def data(self) -> Any:
        """A data frame as JSON: columns with their types, index, true shape, rows. Parsed at each access.

        If its ``whole`` is false, these are the rows (and columns) of both ends. The whole is then in the file that
        ``files`` names, unless that would be longer than 8 MiB.
        """
        return _parsed(self.by_mime.get(_SHORT_NAMES["data"]))

    @property
    def chart(self) -> Any:
        """What a plot shows: kind, title, axes, units, scales, series. Parsed at each access."""
        return _parsed(self.by_mime.get(_SHORT_NAMES["chart"]))

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        told: dict[str, Any] = {"is_main_result": self.is_main_result}
        told |= {form: self[form] for form in self.formats()}
        told |= {form: getattr(self, form) for form in ("data", "chart") if form in told}
        return told | ({"files": dict(self.files)} if self.files else {})

    def __repr__(self) -> str:
        if self.text is not None:
            return f"Result({printable_line(self.text, 100)})"
        return f"Result(formats: {printable_line(', '.join(self.formats()), 100)})"


def _parsed(text: str | None) -> Any:
    """What the JSON text means; None if it means nothing. It is as long as ``Limits.result_bytes`` at most."""
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None
