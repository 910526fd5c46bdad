"""What the metrics tell of folded runs."""

import json

import pytest
import structlog
from prometheus_client.parser import text_string_to_metric_families

from aggregator.run_metrics import note_events
from services.telemetry import Telemetry
from tests.support.log_of_frames import FakeRecord, FrameMaker
from tests.support.oracle import to_text
from tests.unit.aggregator.test_fold import fold_all

NOW_MS = 3 * 10**12


def record(offset: int, name: str, age_ms: int) -> FakeRecord:
    event = {
        "specversion": "1.0",
        "id": name,
        "source": "/tests",
        "type": "usage.chat",
        "time": to_text(NOW_MS - 60_000),
        "subject": "ann",
        "organizationid": "acme",
        "data": {"interactions": 1},
    }
    return FakeRecord(offset=offset, timestamp=NOW_MS - age_ms, value=json.dumps(event).encode())


async def noted(records: list[FakeRecord], monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Return the samples of the histogram once the records are applied, by range; `count` and `sum` too."""
    monkeypatch.setattr("aggregator.run_metrics.now_ms", lambda: NOW_MS)
    telemetry = Telemetry("aggregator")
    _, folds = await fold_all(FrameMaker(1).poll({0: records})[0], [])
    for folded in folds:
        note_events(telemetry, structlog.get_logger(), folded, folded.request)
    families = text_string_to_metric_families(telemetry.exposition()[1].decode())
    return {
        sample.labels.get("le", sample.name.rpartition("_")[2]): sample.value
        for family in families
        for sample in family.samples
        if family.name == "tidemark_visible_seconds"
    }


async def test_the_age_of_each_counted_event_is_told_and_of_no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    ages_ms = [("a", 10_001), ("b", 10_000), ("b", 9_000), ("c", 150)]
    records = [record(offset, name, age_ms) for offset, (name, age_ms) in enumerate(ages_ms)]
    samples = await noted(records, monkeypatch)
    assert samples["count"] == samples["+Inf"] == 3
    assert (samples["0.1"], samples["0.2"], samples["5.0"], samples["10.0"], samples["20.0"]) == (0, 1, 1, 2, 3)
    assert samples["sum"] == pytest.approx(20.151)


async def test_an_event_ahead_of_this_clock_is_visible_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = await noted([record(0, "a", -2_000)], monkeypatch)
    assert samples["0.1"] == samples["count"] == 1
    assert samples["sum"] == 0
