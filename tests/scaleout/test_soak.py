"""All of it at once: a Redis Cluster, three secured brokers, two workers of each role, and faults drawn over them."""

import pytest

from tests.support.soak import LIMIT_SECONDS, soak

pytestmark = [pytest.mark.scaleout, pytest.mark.guarantee, pytest.mark.timeout(LIMIT_SECONDS + 60)]

FAULTS = ("master killed and failed over", "slot moved to another master", "broker killed")


def test_nothing_is_different_after_a_failover_a_moved_slot_and_a_killed_broker() -> None:
    report = soak(2, "--cluster", "--secured")
    missing = [fault for fault in FAULTS if fault not in report]
    assert not missing, report
