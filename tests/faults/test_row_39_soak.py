"""Row 39: faults drawn from a seed over the whole system under load; an hour of it is run by hand (proof.md)."""

import pytest

from tests.faults.conftest import FULL
from tests.support.soak import LIMIT_SECONDS, soak

pytestmark = [pytest.mark.faults, pytest.mark.guarantee, pytest.mark.timeout(LIMIT_SECONDS + 60)]


@pytest.mark.parametrize("seed", [1, 2] if FULL else [1])  # another one runs on clusters: tests/scaleout
def test_a_soak_ends_with_nothing_different_and_nothing_unexplained(seed: int) -> None:
    soak(seed)
