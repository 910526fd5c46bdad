"""A server as a child process: started with a log, waited for with a deadline, stopped or killed by its own pid."""

import atexit
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_POLL_SECONDS = 0.02
_TAIL_LINES = 30


class ServerDidNotStart(Exception):
    """The server ended or stayed silent; the text holds the end of its log."""


class ChildProcess:
    """One run of one program. Its output is appended to `log`, so that the log of a restart follows the first one's."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str | Path],
        *,
        directory: Path,
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self.log_starts_at = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            # A group of its own: Ctrl-C reaches the test run, which then stops its servers in order. Not a session: the
            # kernel shares out the processor between sessions first, and niceness means nothing from one to another.
            self._process = subprocess.Popen(
                [str(argument) for argument in arguments],
                cwd=directory,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=0,
            )
        atexit.register(self.kill)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How it ended; minus the signal's number when it was killed, None while it runs."""
        return self._process.poll()

    def wait_until(self, ready: Callable[[], bool], *, seconds: float) -> None:
        """Return once `ready()` holds; raise ServerDidNotStart when the process ends before or time is up."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise ServerDidNotStart(f"{self.name} ended with code {self._process.returncode}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise ServerDidNotStart(f"{self.name} was not ready after {seconds:g} s:\n{self.tail()}")
            time.sleep(_POLL_SECONDS)

    def stop(self, *, seconds: float = 20) -> None:
        """Ask with SIGTERM, and kill what has not ended in time."""
        if self.running:
            self._process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """End it now (SIGKILL), as a crash would; nothing happens where it has ended already."""
        if self.running:
            self._process.kill()
        self._process.wait()
        atexit.unregister(self.kill)

    def written(self) -> str:
        """What this run wrote to its log so far."""
        with self.log.open("rb") as log:
            log.seek(self.log_starts_at)
            return log.read().decode(errors="replace")

    def tail(self) -> str:
        return "\n".join(self.written().splitlines()[-_TAIL_LINES:])
