"""Writes to standard output and standard error. Nothing else prints; a test holds this.

Rule: names, arguments, and what servers say are others' words. They pass through ``visible``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from srv6kv.foreign import visible

if TYPE_CHECKING:
    from rich.progress import Progress
    from rich.table import Table


def say(text: str, *, err: bool = False) -> None:
    """Print one line."""
    click.echo(visible.line(text), err=err)


def warn(warnings: Iterable[object]) -> None:
    """Print warnings, one a line on standard error."""
    for warning in warnings:
        say(f"warning: {warning}", err=True)


def show(text: str) -> None:
    """Print lines as they are, each with its newline."""
    click.echo(visible.block(text), nl=False)


def show_json(value: Any) -> None:
    """Print a plain value as one line of JSON."""
    click.echo(visible.encode(value, "sorted"))


def show_tables(found: Sequence[Table]) -> None:
    """Print rich tables; a pipe gets them as wide as they need to be."""
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    for table in found:
        console.print(table)


def end(*, is_bad_input: bool = False, is_negative: bool = False) -> None:
    """End with the exit code of what went wrong, if anything did."""
    if is_bad_input or is_negative:
        raise click.exceptions.Exit(2 if is_bad_input else 1)


def show_title(text: str) -> None:
    """Print a heading."""
    click.secho(f"\n== {visible.line(text)}", bold=True)


def progress() -> Progress:
    """A bar that moves on standard error, if that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)


def description(text: str) -> str:
    """A text beside a bar, in which rich would look for markup."""
    from rich.markup import escape

    return escape(visible.line(text))


def say_usage(error: click.ClickException) -> None:
    """Print an error of click's own, with the usage of the command if it has one."""
    context = getattr(error, "ctx", None)
    if context is not None:
        show_on_stderr = [context.get_usage()]
        if context.command.get_help_option(context) is not None:
            names = context.help_option_names
            show_on_stderr.append(f"Try '{context.command_path} {names[0]}' for help.\n")
        for text in "\n".join(show_on_stderr).split("\n"):
            say(text, err=True)
    # A missing choice is listed over several lines, all of them click's own.
    text = error.format_message()
    if isinstance(error, click.MissingParameter):
        text = " ".join(text.split())
    say(f"Error: {text}", err=True)


def be_lenient() -> None:
    """Print what the terminal's encoding lacks as an escape, not as an exception."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError, OSError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
