"""How a worker says that it must not go on: exit code 3, and one sentence as its last words."""

from services.lifecycle import Exit
from tests.support import worker
from tests.support.worker import Worker


def assert_refused(ended: worker.Exit, *said: str) -> None:
    """Fail unless a run ended in a refusal whose sentence holds all of these words."""
    assert ended.code == Exit.REFUSED, ended
    assert all(words in ended.last_line for words in said), ended.last_line


def assert_refuses_to_start(started: Worker, *said: str) -> None:
    """Start a worker that does not restart, and fail unless it refuses, without a trace."""
    started.start()
    assert_refused(started.await_exit(), *said)
    assert "Traceback" not in started.written()
