"""A role whose link is set up wrong: it ends by itself with code 3 and one sentence, and gives no secret away."""

from tests.support.worker import Worker


def last_line_of_a_refused(worker: Worker, secret: str) -> str:
    """Start a worker, wait for its end, and return what it says last."""
    worker.start()
    try:
        ended = worker.await_exit(seconds=30)
    finally:
        worker.close()
    assert (ended.code, "Traceback" in worker.written()) == (3, False), worker.tail()
    assert secret not in worker.written()
    return ended.last_line
