"""Many records judged together get the verdicts that each would get alone."""

import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ingest.admission import Admitted
from ingest.admission_of_many import AdmissionOfMany
from services.events import UnknownFields
from tests.support.log_of_frames import FakeRecord
from tests.unit.ingest.good_events import (
    DATA,
    DAY_MS,
    GOOD,
    MAX_AGE_MS,
    MAX_AHEAD_MS,
    MAX_BYTES,
    TIME_MS,
    admission,
    compact,
    event,
)

BINARY = [(f"ce_{name}", value.encode()) for name, value in GOOD.items() if name != "data"]
TIMES = (
    "2026-08-22T08:00:00Z",
    "2026-08-22T07:59:59.5Z",
    "2026-08-22T07:59:59.123Z",
    "2026-08-22T07:59:59.123456Z",
    "2026-08-22t07:59:59z",
    "2026-08-22T10:00:00.250+02:00",
    "2026-08-22T08:05:00Z",
    "2026-08-22T08:05:00.001Z",
    "2026-07-18T08:00:00Z",
    "2026-07-18T07:59:59Z",
    "2026-02-29T08:00:00Z",
    "2026-08-22T08:00:60Z",
    "2026-08-22 08:00:00Z",
    "2026-08-22T08:00:00",
    "\u0968\u0966\u0968\u096c-08-22T08:00:00Z",
)
CHANGES: tuple[dict[str, Any], ...] = (
    {"subject": "user-2"},
    {"organizationid": "org-2", "teamid": None},
    {"source": "/cli"},
    {"id": "e-\u00e9"},
    {"id": "e\u200b"},
    {"id": "e\n"},
    {"subject": "a/b"},
    {"organizationid": "usage"},
    {"specversion": "0.3"},
    {"data": {"interactions": -1}},
    {"data": {"interactions": 0, "unknown": 1}},
    {"unknown": "x"},
    {"type": "usage.agent", "data": DATA["usage.agent"]},
)

some_values = st.one_of(
    st.sampled_from(TIMES).map(lambda time: compact(event(time=time))),
    st.sampled_from(CHANGES).map(lambda changes: compact(event(**changes))),
    st.sampled_from(CHANGES).map(lambda changes: json.dumps(event(**changes)).encode()),
    st.just(compact(event())),
    st.sampled_from(
        [
            b"",
            b"no event",
            b"[" * 3_000,
            b"\xff",
            compact(event())[:-1] + b',"id":"another"}',
            compact(event()).replace(b'"id"', b'"\\u0069d"'),
            compact(event(dataschema="x" * MAX_BYTES)),
        ]
    ),
    st.none(),
)
records = st.builds(
    FakeRecord,
    offset=st.just(0),
    timestamp=st.sampled_from([TIME_MS, TIME_MS - 1, TIME_MS + DAY_MS]),
    value=some_values,
    headers=st.sampled_from([(), [("traceparent", b"x")], BINARY]),
) | st.just(FakeRecord(offset=0, timestamp=TIME_MS, value=compact(GOOD["data"]), headers=BINARY))


KNOWN = [
    FakeRecord(offset=0, timestamp=TIME_MS, value=compact(event(**changes)))
    for changes in ({}, {"subject": "user-2"}, {"organizationid": "org-2", "teamid": None}, {"source": "/cli"})
]


@given(
    st.lists(st.lists(records, max_size=12), min_size=1, max_size=3),
    st.sampled_from(["refuse", "ignore"]),
    st.sampled_from([MAX_AGE_MS, None]),
)
def test_they_get_the_verdicts_that_each_gets_alone(
    polls: list[list[FakeRecord]], unknown_fields: UnknownFields, max_age_ms: int | None
) -> None:
    alone = admission(unknown_fields, max_age_ms)
    together = AdmissionOfMany(admission(unknown_fields, max_age_ms))
    # Once the ids are remembered, nothing but what is wrong makes a record doubtful.
    for poll in [KNOWN, *polls]:
        found = together.admit(poll, np.array([record.timestamp for record in poll], dtype=np.int64))
        events = iter(zip(found.rows.tolist(), found.events, found.time_ms.tolist(), strict=True))
        for at, record in enumerate(poll):
            verdict = alone.admit(record.value, record.timestamp, record.headers)
            if isinstance(verdict, Admitted):
                assert next(events) == (at, verdict.event, verdict.time_ms)
            else:
                assert found.rejected[at] == verdict
        assert next(events, None) is None
        assert len(found.rejected) + len(found.events) == len(poll)
        assert found.texts == (
            [each.organizationid for each in found.events],
            [each.teamid for each in found.events],
            [each.subject for each in found.events],
            [each.source for each in found.events],
            [each.id for each in found.events],
        )


def test_the_edges_of_the_age_are_in() -> None:
    edges = (TIME_MS - MAX_AHEAD_MS, TIME_MS + MAX_AGE_MS)
    poll = [
        FakeRecord(offset=0, timestamp=edge + beyond, value=compact(event())) for edge in edges for beyond in (-1, 0, 1)
    ]
    found = AdmissionOfMany(admission()).admit(poll, np.array([record.timestamp for record in poll]))
    assert found.rows.tolist() == [1, 2, 3, 4]
