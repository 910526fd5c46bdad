import os

import pytest

from services.crash_points import KILLED, POINTS, CrashPoints, read_crash_point
from services.settings_loading import WrongSettings, load_settings


@pytest.fixture
def exits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    return codes


def test_nothing_dies_where_no_point_is_armed(exits: list[int]) -> None:
    points = CrashPoints("")
    for point in POINTS:
        points.visit(point)
    assert not exits


def test_a_process_dies_at_the_visit_that_is_armed(exits: list[int]) -> None:
    points = CrashPoints(f"{POINTS[1]}:2")
    points.visit(POINTS[0])
    points.visit(POINTS[1])
    assert not exits
    points.visit(POINTS[1])
    assert exits == [KILLED]


@pytest.mark.parametrize("text", ["ingest.somewhere", "ingest.after_poll:0", "ingest.after_poll:x", ":1"])
def test_a_point_that_is_not_there_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="give one of"):
        read_crash_point(text)
    monkeypatch.setenv("TIDEMARK_TESTING__CRASH_POINT", text)
    with pytest.raises(WrongSettings, match="TIDEMARK_TESTING__CRASH_POINT"):
        load_settings()
