import time

from services.clock import monotonic_s, now_ms


def test_the_wall_clock_is_in_milliseconds_since_1970() -> None:
    before = time.time()
    assert before * 1000 - 1 <= now_ms() <= time.time() * 1000


def test_the_monotonic_clock_is_in_seconds() -> None:
    before = time.monotonic()
    assert before <= monotonic_s() <= time.monotonic()
