"""The forms of a value by MIME type, as a notebook shows them, and ours for frames, figures and charts.

With IPython's shell alive its formatters are asked, so that what users and libraries registered
counts; without it the hooks themselves are, in the same order with the same precedence. Failing
hooks leave their form out, and a line on standard error says so, which a notebook does too. A hook
that does not end is what the execution's time limit is for.
"""

from __future__ import annotations

import builtins
import sys
from types import MethodType
from typing import Any

from protocell_guest.guest import figures, frames, interactive
from protocell_guest.guest.clipping import clip
from protocell_guest.guest.figure_settings import scale_of_png
from protocell_guest.guest.mime_bundles import MOST_CHARACTERS, text_of, texts_of
from protocell_guest.guest.plain_tracebacks import class_name
from protocell_guest.guest.representation import ENDINGS, described, is_instance, represented

# Functions of this module keep these builtins when the code assigns to builtins.len or the like.
globals()["__builtins__"] = dict(vars(builtins))

FRAME_HTML_BYTES = 128 * 1024
"""HTML of a frame that is longer is left out: its data say the same."""

FRAME_TEXT_BYTES = 64 * 1024

_PLAIN = "text/plain"
# In the order of IPython.core.formatters.DisplayFormatter.
_HOOKS = {
    "text/html": "_repr_html_",
    "text/markdown": "_repr_markdown_",
    "image/svg+xml": "_repr_svg_",
    "image/png": "_repr_png_",
    "application/pdf": "_repr_pdf_",
    "image/jpeg": "_repr_jpeg_",
    "text/latex": "_repr_latex_",
    "application/json": "_repr_json_",
    "application/javascript": "_repr_javascript_",
}
_CANARY = "_ipython_canary_method_should_not_exist_"


def formats_of(value: Any) -> dict[str, str]:
    """The value by MIME type, as text: binary forms in base64, data as JSON. "text/plain" is always there.

    ``_ipython_display_`` is the caller's affair, but for values of which ``has_own_forms`` is true.

    Raises:
        KeyboardInterrupt, SystemExit: only those, of what the value's own methods may raise.
    """
    try:
        forms = _forms(value)
    except ENDINGS:
        raise
    except BaseException as error:  # noqa: BLE001  (whatever a value does, there is a text of it)
        complain(value, "display", error)
        forms = {}
    if _PLAIN not in forms:
        forms = {_PLAIN: represented(value), **forms}
    forms[_PLAIN] = clip(forms[_PLAIN], MOST_CHARACTERS)
    return forms


def has_own_forms(value: object) -> bool:
    """Whether its forms are made here, so that its ``_ipython_display_`` is not to be called."""
    return figures.is_figure(value) or interactive.is_interactive(value) or frames.is_frame(value)


def _forms(value: Any) -> dict[str, str]:
    if figures.is_figure(value):
        return _forms_of_figure(value)
    if interactive.is_interactive(value):
        return interactive.formats_of_interactive(value)
    if frames.is_frame(value):
        return _forms_of_frame(value)
    forms = _by_hooks(value)
    if "image/png" in forms and is_instance(value, "PIL.Image", "Image"):
        forms.pop("image/jpeg", None)  # the same picture once more, and with losses
    return forms


def _forms_of_figure(figure: Any) -> dict[str, str]:
    """What it has by itself, and what a notebook's settings ask for."""
    shell = _shell()
    if shell is None:
        return figures.formats_of_figure(figure)
    scale = scale_of_png(shell, figure)
    more = _by_hooks(figure, without=(_PLAIN,) if scale is None else ("image/png", _PLAIN))
    return {**more, **figures.formats_of_figure(figure, scale)}


def _forms_of_frame(value: Any) -> dict[str, str]:
    with frames.within_bounds(value):
        forms = _by_hooks(value)
    if len(forms.get("text/html", "")) > FRAME_HTML_BYTES:  # names of columns have no bound
        del forms["text/html"]
    if _PLAIN in forms:
        forms[_PLAIN] = clip(forms[_PLAIN], FRAME_TEXT_BYTES)
    return {**forms, **frames.data_of(value)}


def _by_hooks(value: Any, *, without: tuple[str, ...] = ()) -> dict[str, str]:
    shell = _shell()
    forms = _plainly(value) if shell is None else _by_shell(shell, value, without)
    return {mime: text for mime, text in forms.items() if mime not in without}


# -- without IPython ---------------------------------------------------------------------------------


def _plainly(value: Any) -> dict[str, str]:
    forms: dict[str, str] = {_PLAIN: represented(value)}
    bundle = _asked(value, "_repr_mimebundle_", include=None, exclude=None)
    forms |= _texts_of_bundle(bundle)
    for mime, hook in _HOOKS.items():
        text = None if mime in forms else text_of(mime, _asked(value, hook))
        if text is not None:
            forms[mime] = text
    return forms


def _texts_of_bundle(bundle: Any) -> dict[str, str]:
    """Texts of what ``_repr_mimebundle_`` returned: data, or data and metadata."""
    if isinstance(bundle, tuple) and bundle:
        bundle = bundle[0]
    return texts_of(bundle) if isinstance(bundle, dict) else {}


def _asked(value: Any, hook: str, **arguments: Any) -> Any:
    """What a display hook returns; None without the hook, or if it fails."""
    method = method_of(value, hook)
    if method is None:
        return None
    try:
        return method(**arguments)
    except NotImplementedError:
        return None
    except ENDINGS:
        raise
    except BaseException as error:  # noqa: BLE001  (the code's own method can raise anything)
        complain(value, hook, error)
        return None


def method_of(value: Any, name: str) -> Any:
    """The display hook of this name, as IPython.utils.dir2.get_real_method finds it, or None."""
    try:
        if getattr(value, _CANARY, None) is not None:
            return None  # it claims to have everything
        method = getattr(value, name, None)
    except ENDINGS:
        raise
    except BaseException:  # noqa: BLE001  (the code's own __getattr__ can raise anything)
        return None
    if issubclass(type(value), type) and type(method) is not MethodType:
        return None  # a class, which is not one of its instances
    return method if callable(method) else None


# -- with IPython ------------------------------------------------------------------------------------


def _shell() -> Any:
    """The live InteractiveShell, or None."""
    module: Any = sys.modules.get("IPython.core.interactiveshell")
    kind = getattr(module, "InteractiveShell", None)
    return kind.instance() if kind is not None and kind.initialized() else None


def _by_shell(shell: Any, value: Any, without: tuple[str, ...]) -> dict[str, str]:
    """As DisplayFormatter.format, but that what fails is left out and not shown as a traceback."""
    display = shell.display_formatter
    bundle = formatted(display.mimebundle_formatter, value, include=None, exclude=None)
    forms = _texts_of_bundle(bundle)
    for mime, formatter in display.formatters.items():
        # A formatter that somebody registered for the type goes before the value's own bundle.
        if mime in without or (mime in forms and not _is_registered(formatter, value)):
            continue
        text = text_of(mime, formatted(formatter, value))
        if text is not None:
            forms[mime] = text
    return forms


def _is_registered(formatter: Any, value: Any) -> bool:
    try:
        formatter.lookup(value)
    except ENDINGS:
        raise
    except BaseException:  # noqa: BLE001  (no such type, or a class whose very name raises)
        return False
    return True


def formatted(formatter: Any, value: Any, **arguments: Any) -> Any:
    """What one of IPython's formatters makes of a value; None if it fails, which is said on standard error."""
    # IPython's own wrapper would show a traceback and go on; below it is the plain method.
    plain = getattr(type(formatter).__call__, "__wrapped__", type(formatter).__call__)
    try:
        return formatter._check_return(plain(formatter, value, **arguments), value)
    except NotImplementedError:
        return None
    except ENDINGS:
        raise
    except BaseException as error:  # noqa: BLE001  (the code's own method can raise anything)
        if formatter.format_type != _PLAIN:  # that repr fails is said in its place
            complain(value, str(getattr(formatter, "print_method", "formatter")), error)
        return None


def complain(value: object, hook: str, error: BaseException) -> None:
    """Say on standard error that a hook failed, if anybody listens there."""
    try:
        line = f"{class_name(type(value))}: {hook} raised {described(error)}\n"
        sys.stderr.write(line)
    except ENDINGS:
        raise
    except BaseException:  # noqa: BLE001  (standard error is closed or the code's own: nobody can be told)
        return
