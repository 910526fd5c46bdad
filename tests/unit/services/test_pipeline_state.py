import json
import stat
from pathlib import Path

import pytest

from services.pipeline_state import NoPipeline, PipelineState, read_state, write_state

pytestmark = pytest.mark.unit

STATE = PipelineState(
    kafka="127.0.0.1:1",
    redis="redis://127.0.0.1:2/0",
    api="http://127.0.0.1:3",
    pids={"ingest": [4], "aggregator": [], "api": [5], "broker": [], "redis": []},
    environment={"TIDEMARK_KAFKA__IDEMPOTENCE": "False"},
    health={"ingest": ["127.0.0.1:6"]},
)


def test_a_state_comes_back_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    file.write_text("an older one")
    write_state(file, STATE)
    assert read_state(file) == STATE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]


def test_the_file_has_the_members_that_scripts_rely_on(tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    write_state(file, STATE)
    members = json.loads(file.read_text())
    assert list(members) == ["kafka", "redis", "api", "pids", "environment", "health"]
    assert members["pids"]["api"] == [5]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"kafka": 1, "mood": 2}'])
def test_another_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "other.json"
    file.write_text(text)
    with pytest.raises(NoPipeline, match=r"other\.json is not one"):
        read_state(file)


def test_a_missing_file_names_the_command_that_writes_it(tmp_path: Path) -> None:
    with pytest.raises(NoPipeline, match="tidemark up --state-file"):
        read_state(tmp_path / "none.json")
