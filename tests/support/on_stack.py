"""What starts several servers: one that does not come up takes those before it along."""

from contextlib import ExitStack
from types import TracebackType
from typing import Self


class OnStack:
    """A context manager whose `_start` puts on `_stack` what is to be closed."""

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self) -> None:
        raise NotImplementedError
