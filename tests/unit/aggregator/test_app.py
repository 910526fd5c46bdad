from pathlib import Path
from typing import cast

import pytest

from aggregator.app import build_app
from aggregator.owner import Owner
from services.settings import KafkaSettings, Settings


async def test_every_bootstrap_server_is_known_to_faust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(kafka=KafkaSettings(bootstrap_servers="one:1, two:2,three:3"))
    app = build_app(settings, cast(Owner, None))
    assert [str(url) for url in app.transport.url] == ["kafka://one:1", "kafka://two:2", "kafka://three:3"]
