"""The image replayed, and the compose file started from it, once for all tests."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.composed_servers import ComposedKafka, ComposedValkey
from tests.deploy.composition import DEPLOY, ROLES, ROOT, service
from tests.deploy.containers import Composition, Container
from tests.deploy.replay import Built, Replay
from tests.support.redis_server import bundled_valkey
from tests.support.timeouts import allow

FETCH_SECONDS = 400
"""What a test may take that fetches the chart's tools into an empty cache, which may be any of those that use them."""


def pytest_itemcollected(item: pytest.Item) -> None:
    allow(item, FETCH_SECONDS)


@pytest.fixture(scope="session")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What deploy/secrets.sh makes."""
    directory = tmp_path_factory.mktemp("deploy") / "secrets"
    subprocess.run(["sh", str(DEPLOY / "secrets.sh"), str(directory)], capture_output=True, check=True, timeout=20)
    return directory


@pytest.fixture(scope="session")
def built() -> Iterator[Built]:
    """The image, its steps replayed."""
    # Not below pytest's own directory, which is closed to other users: the roles run as one.
    directory = Path(tempfile.mkdtemp(prefix="tidemark-image-"))
    try:
        yield Replay(directory, ROOT).build(DEPLOY / "Dockerfile")
    finally:
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def composition(built: Built, secrets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composition]:
    """Kafka and Valkey started, the topics created by the service that does so."""
    with ComposedKafka.start_new() as kafka, ComposedValkey.start_new(bundled_valkey()) as valkey:
        begun = Composition(built, secrets / "tidemark.toml", kafka, valkey, tmp_path_factory.mktemp("logs"))
        created = begun.run("topics", *service("topics")["command"])
        assert created.returncode == 0, created.stderr
        yield begun


@pytest.fixture(scope="session")
def containers(composition: Composition) -> Iterator[dict[str, Container]]:
    """One container of each role, all ready; in the end each must stop in order when asked, as an engine asks."""
    started = {name: composition.start(name) for name in ROLES}
    try:
        for container in started.values():
            container.await_ready()
        yield started
        for container in started.values():
            container.ask_to_stop()
        assert {name: container.ended() for name, container in started.items()} == dict.fromkeys(ROLES, 0)
    finally:
        for container in started.values():
            container.kill()
