"""Tells how long a baseline took for its events, and ends it."""

import json
import os
import sys
import time


class Stopwatch:
    """From the first batch in hand to the last one counted; starting the process is not held against it.

    Args:
        events: after so many the process prints one line of JSON and ends at once.
    """

    def __init__(self, events: int) -> None:
        self._left = self._events = events
        self._began_s = self._began_cpu_s = 0.0

    def begin(self) -> None:
        """Call it with each batch, before anything is done with it."""
        if not self._began_s:
            self._began_s, self._began_cpu_s = time.monotonic(), time.process_time()

    def counted(self, events: int) -> None:
        self._left -= events
        if self._left <= 0:
            seconds, cpu_seconds = time.monotonic() - self._began_s, time.process_time() - self._began_cpu_s
            line = {"events": self._events - self._left, "seconds": seconds, "cpuSeconds": cpu_seconds}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
            os._exit(0)
