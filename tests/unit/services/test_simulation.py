import itertools
import json
from collections import Counter
from itertools import pairwise

import pytest

from ingest.admission import Admission, Admitted, Rejected
from ingest.verdicts import AdmissionRules
from services.simulated_faults import with_faults
from services.simulated_population import SHAPES, Profile, members
from services.simulation import simulate
from services.windows import DAY_MS
from tests.support import oracle
from tests.support.oracle import Oracle

END_MS = 1_795_000_000_000

pytestmark = pytest.mark.unit


def lines_of(profile: Profile, events: int = 20_000, seed: int = 11) -> list[bytes]:
    return list(simulate(profile, seed, events, END_MS))


@pytest.mark.parametrize("profile", Profile)
def test_the_same_arguments_give_the_same_bytes_and_others_give_other_ids(profile: Profile) -> None:
    assert lines_of(profile) == lines_of(profile)
    first = {json.loads(line)["id"] for line in lines_of(profile, 500)}
    for other in (lines_of(profile, 500, seed=12), lines_of(profile, 501)):
        assert first.isdisjoint(json.loads(line)["id"] for line in other)


@pytest.mark.parametrize("profile", Profile)
def test_every_line_is_a_good_event_for_the_product_and_for_the_oracle(profile: Profile) -> None:
    admission = Admission(
        AdmissionRules(ignore_unknown=False, max_bytes=65_536, max_age_ms=35 * DAY_MS, max_ahead_ms=0)
    )
    for line in lines_of(profile):
        assert isinstance(admission.admit(line, END_MS), Admitted), line
        assert oracle.read_event(line, END_MS) is not None, line


def test_the_bench_profile_has_the_shape_that_the_design_states() -> None:
    lines = lines_of(Profile.BENCH, 40_000)
    events = [json.loads(line) for line in lines]
    types = Counter(event["type"] for event in events)
    assert 0.68 < types["usage.code_completion"] / len(events) < 0.72
    assert 0.18 < types["usage.chat"] / len(events) < 0.22
    assert 0.09 < types["usage.agent"] / len(events) < 0.11
    assert 0.008 < 1 - len(set(lines)) / len(lines) < 0.012
    assert 310 < sum(map(len, lines)) / len(lines) < 370
    times = [oracle.to_ms(event["time"]) for event in events]
    late = [time for earlier, time in pairwise(itertools.accumulate(times, max)) if time - earlier > 60_000]
    assert len(late) < len(times) / 20
    assert min(times) >= END_MS - 3 * DAY_MS
    assert max(times) <= END_MS


def test_the_bench_population_is_fifty_organizations_of_zipf_sizes() -> None:
    everyone = members(SHAPES[Profile.BENCH])
    sizes = Counter(member.organization for member in everyone)
    assert len(everyone) == 20_000
    assert len(sizes) == 50
    assert len({(member.organization, member.team) for member in everyone}) == 500
    assert sizes["org-01"] / sizes["org-10"] == pytest.approx(10, rel=0.05)


def test_the_demo_profile_has_all_types_teamless_late_and_duplicate_events() -> None:
    lines = lines_of(Profile.DEMO)
    events = [json.loads(line) for line in lines]
    assert len({event["type"] for event in events}) == 4
    assert 0.05 < sum("teamid" not in event for event in events) / len(events) < 0.11
    counted = Oracle(lines)
    assert 0.01 < counted.copies / len(lines) < 0.03
    assert any(event["data"].get("interactions", event["data"].get("completions")) == 0 for event in events)


@pytest.mark.parametrize("profile", Profile)
def test_no_part_is_above_its_whole(profile: Profile) -> None:
    pairs = [
        ("completions", "suggestions"),
        ("usefulChatInteractions", "interactions"),
        ("linesAddedAccepted", "linesAdded"),
        ("linesRemovedAccepted", "linesRemoved"),
    ]
    for line in lines_of(profile, 5_000):
        data = json.loads(line)["data"]
        for part, whole in pairs:
            assert data.get(part, 0) <= data.get(whole, data.get(part, 0)), data


def test_spoilt_lines_are_bad_for_the_product_and_marked_so() -> None:
    admission = Admission(
        AdmissionRules(ignore_unknown=False, max_bytes=65_536, max_age_ms=35 * DAY_MS, max_ahead_ms=0)
    )
    lines = list(with_faults(lines_of(Profile.DEMO, 4_000), 0.1, 5))
    assert 300 < sum(not good for _, good in lines) < 500
    for line, good in lines:
        assert isinstance(admission.admit(line, END_MS), Admitted if good else Rejected), line
