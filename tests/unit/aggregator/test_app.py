from pathlib import Path
from typing import cast

import pytest

from aggregator.app import build_app, check_times
from aggregator.owner import Owner
from services.settings import AggregatorSettings, KafkaSettings, Settings
from services.settings_loading import WrongSettings


async def test_every_bootstrap_server_is_known_to_faust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(kafka=KafkaSettings(bootstrap_servers="one:1, two:2,three:3"))
    app = build_app(settings, cast(Owner, None))
    assert [str(url) for url in app.transport.url] == ["kafka://one:1", "kafka://two:2", "kafka://three:3"]


class NotingOwner:
    """Counts how often it was told that it has nothing."""

    def __init__(self) -> None:
        self.times_nothing = 0

    def assigned_nothing(self) -> None:
        self.times_nothing += 1


@pytest.mark.parametrize("unassigned", [True, False])
async def test_the_owner_is_told_when_the_worker_joined_and_was_assigned_nothing(unassigned: bool) -> None:
    owner = NotingOwner()
    app = build_app(Settings(), cast(Owner, owner))
    app.unassigned = unassigned
    await app.on_rebalance_complete.send()
    assert owner.times_nothing == unassigned


def test_a_request_that_ends_before_a_session_is_refused_in_a_sentence() -> None:
    sessions = AggregatorSettings(session_timeout=10)
    check_times(Settings(kafka=KafkaSettings(request_timeout=10), aggregator=sessions))
    with pytest.raises(WrongSettings, match=r"TIDEMARK_KAFKA__REQUEST_TIMEOUT \(9s\) must not lie below"):
        check_times(Settings(kafka=KafkaSettings(request_timeout=9), aggregator=sessions))
