"""Commands and groups whose flags are shown as the flags that they are."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup


class Command(TyperCommand):
    """A command whose --help is shown as a flag."""

    def get_help_option(self, ctx: Any) -> Any:
        """As it is, but said to take no value."""
        return _without_value(super().get_help_option(ctx))


class Group(TyperGroup):
    """As ``Command``, for several of them."""

    def get_help_option(self, ctx: Any) -> Any:
        """As it is, but said to take no value."""
        return _without_value(super().get_help_option(ctx))


def _without_value(option: Any) -> Any:
    if option is not None:
        option.metavar = ""
    return option
