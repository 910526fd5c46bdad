"""A bar on standard error while that is a terminal; elsewhere nothing is shown."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn


class Advance(Protocol):
    """Is told how much is done, and how much there is to do where that was not known before."""

    def __call__(self, completed: int, total: int | None = None, /) -> None: ...


@contextmanager
def progress_bar(what: str, total: int | None = None) -> Iterator["Advance"]:
    """Yield what is told how much is done.

    Args:
        total: how much there is to do; None when nobody knows yet.
    """
    columns = (TextColumn(what), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("", total=total)

        def advance(completed: int, total: int | None = None, /) -> None:
            # Without a total the bar keeps the one that it has.
            bar.update(task, completed=completed, total=total)

        yield advance
