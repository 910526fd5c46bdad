"""Row 35: of two events with one identity and different numbers the first counts; the producer guide says so."""

from collections.abc import Callable

import pytest

from tests.faults.events import chat, guide
from tests.faults.load import Planned
from tests.faults.publisher import Publisher
from tests.faults.verdict import assert_right
from tests.support.deployment import Deployment

pytestmark = [pytest.mark.faults, pytest.mark.guarantee]


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "after it was counted"])
def test_the_first_of_an_identity_wins_whatever_the_second_holds(
    together: bool, deploy: Callable[..., Deployment]
) -> None:
    deployment = deploy()
    deployment.start("ingest", "aggregator")
    planned = [Planned(partition=0, value=chat("same", interactions=number)) for number in (3, 700)]
    published = []
    for batch in [planned] if together else [planned[:1], planned[1:]]:
        with Publisher(deployment.settings, batch) as publisher:
            published += publisher.wait()
        deployment.catch_up()
    assert_right(deployment, published)
    found = {row["metrics"]["chat"]["interactions"] for row in deployment.export()}
    assert found == {3}
    assert "the first to arrive counts, whatever the others hold" in guide()
