"""Goes on beside a test, in a thread of its own."""

import threading
from abc import ABC, abstractmethod
from typing import Self


class Beside(ABC):
    """Does its work while its block runs; the block ends when the work has."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name=type(self).__name__.lower(), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @abstractmethod
    def _work(self) -> None:
        """Work until `_goes_on` says no."""

    def _goes_on(self, after_seconds: float) -> bool:
        """Return whether the block still runs then; at its end, at once."""
        return not self._stop.wait(after_seconds)
