"""`tidemark publish`, fed at a rate for as long as a test needs traffic, and then with all the rest at once."""

import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper
from typing import Self, cast

from tests.support.pipeline import PipelineUnderTest

TICK_SECONDS = 0.05
FINISH_SECONDS = 120


class PacedPublishing:
    """Publishes lines in their order; a context manager, which kills what was not finished.

    Args:
        options: of `tidemark publish`.
        rate: lines a second until `finish`.
    """

    def __init__(self, pipeline: PipelineUnderTest, lines: Sequence[bytes], *options: str, rate: float) -> None:
        self._lines = lines
        self._rate = rate
        self._given = 0
        self._hurry = threading.Event()
        self._process = pipeline.begin("publish", "-", *options, stdin=subprocess.PIPE)
        self._feeder = threading.Thread(target=self._feed, name="feeder", daemon=True)

    def __enter__(self) -> Self:
        self._feeder.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._hurry.set()
        self._feeder.join()
        self._process.communicate()

    @property
    def goes_on(self) -> bool:
        """Whether lines are left that are not published yet."""
        return self._given < len(self._lines) and self._process.poll() is None

    def finish(self) -> None:
        """Publish the rest at once, and return when all is acknowledged."""
        self._hurry.set()
        self._feeder.join(FINISH_SECONDS)
        out, err = self._process.communicate(timeout=FINISH_SECONDS)
        assert self._process.returncode == 0, (out, err)

    def _feed(self) -> None:
        pipe, begun_s = cast(TextIOWrapper, self._process.stdin).buffer, time.monotonic()
        with suppress(BrokenPipeError):
            while self._given < len(self._lines):
                passed_s = time.monotonic() - begun_s
                due = len(self._lines) if self._hurry.is_set() else int(passed_s * self._rate)
                pipe.write(b"".join(line + b"\n" for line in self._lines[self._given : due]))
                pipe.flush()
                self._given = due
                self._hurry.wait(TICK_SECONDS)
