import json

import pytest

from ingest.admission import Admission, Rejected
from ingest.verdicts import AdmissionRules
from services.dead_letters import Reason
from services.simulated_population import Profile
from services.simulation import simulate
from services.windows import DAY_MS
from tests.support.broken import mix, too_old, ways
from tests.support.oracle import read_event

pytestmark = pytest.mark.unit

END_MS = 1_795_000_000_000
ADMISSION = Admission(
    AdmissionRules(ignore_unknown=False, max_bytes=65_536, max_age_ms=35 * DAY_MS, max_ahead_ms=300_000)
)
EVERY_WAY = [*ways(), ("too_old", too_old)]


def test_every_reason_that_a_line_can_have_is_there() -> None:
    assert {reason for reason, _ in EVERY_WAY} == {reason.value for reason in Reason} - {"null_record", "skipped_frame"}


@pytest.mark.parametrize("number", range(len(EVERY_WAY)))
def test_each_way_is_bad_for_the_oracle_and_has_its_reason_for_the_product(number: int) -> None:
    reason, break_it = EVERY_WAY[number]
    for line in simulate(Profile.DEMO, 3, 40, END_MS):
        value = break_it(json.loads(line))
        assert b"\n" not in value
        assert read_event(value, END_MS) is None
        found = ADMISSION.admit(value, END_MS)
        assert isinstance(found, Rejected)
        assert found.reason == reason, value[:300]


def test_a_mix_is_seeded_and_leaves_the_other_lines_as_they_are() -> None:
    lines = list(simulate(Profile.DEMO, 3, 3_000, END_MS))
    mixed = list(mix(lines, 7))
    assert mixed == list(mix(lines, 7))
    assert 100 < sum(line.reason is not None for line in mixed) < 200
    assert all(line.value == original for line, original in zip(mixed, lines, strict=True) if line.reason is None)
