"""The page of a notebook: what a front end makes of a kernel's messages, as jupyter_client's "Messaging" has it."""

import json
import re
from dataclasses import replace
from typing import Any

from tests.integration.notebook_outcomes import Outcome, Shown, numbers

Content = dict[str, Any]

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_LINE = re.compile(r"^ *Cell In\[(\d+)\], line (\d+)", re.MULTILINE)


class Page:
    """Cells, and what stands below each."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self._clear_next = False

    def take(self, reply: Content, heard: list[Content]) -> None:
        """One more cell: the kernel's reply, and what it has broadcast while the cell ran."""
        self._clear_next = False
        self.outcomes.append(Outcome(count=reply["execution_count"]))
        for message in heard:
            self._hear(message["msg_type"], message["content"])
        if (
            reply["status"] == "error" and self.outcomes[-1].error is None
        ):  # a UsageError is in the reply alone
            self._fail(reply)
        for payload in reply.get("payload", []):
            if payload["source"] == "page":  # a front end has a window for it
                text = _COLOUR.sub("", payload["data"]["text/plain"]).rstrip("\n") + "\n"
                self._change(stdout=self.outcomes[-1].stdout + text)

    def _hear(self, kind: str, content: Content) -> None:
        if kind == "stream":
            self._begin_output()
            before = getattr(self.outcomes[-1], content["name"])
            self._change(**{content["name"]: before + content["text"]})
        elif kind in {"display_data", "execute_result", "update_display_data"}:
            self._show(kind, content)
        elif kind == "clear_output":
            self._clear_next = True
            if not content["wait"]:
                self._begin_output()
        elif kind == "error":
            self._begin_output()
            self._fail(content)

    def _fail(self, content: Content) -> None:
        traceback = _COLOUR.sub("", "\n".join(content["traceback"]))
        error = f"{content['ename']}: {content['evalue']}"
        self._change(status="error", error=error, lines=numbers(_LINE, traceback))

    def _show(self, kind: str, content: Content) -> None:
        name = content.get("transient", {}).get("display_id")
        forms = {mime: _text(data) for mime, data in content["data"].items()}
        if name is not None:
            self._replace(name, forms)
        if kind != "update_display_data":
            self._begin_output()
            shown = Shown(forms=forms, main=kind == "execute_result", display=name)
            self._change(shown=[*self.outcomes[-1].shown, shown])

    def _replace(self, name: str, forms: dict[str, str]) -> None:
        """Wherever on the page it stands."""
        for outcome in self.outcomes:
            for place, one in enumerate(outcome.shown):
                if one.display == name:
                    outcome.shown[place] = replace(one, forms=forms)

    def _begin_output(self) -> None:
        if self._clear_next:
            self._clear_next = False
            self._change(shown=[], stdout="", stderr="")

    def _change(self, **changed: Any) -> None:
        self.outcomes[-1] = replace(self.outcomes[-1], **changed)


def _text(data: Any) -> str:
    """A form as text: JSON is sent as data."""
    return data if isinstance(data, str) else json.dumps(data)
