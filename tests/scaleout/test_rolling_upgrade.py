"""Old builds beside new ones: every process is replaced under load, in both orders, and back again."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.release import running_version
from tests.faults.redis_states import await_progress, lasting_load
from tests.faults.verdict import assert_right
from tests.scaleout.deploying import ask, blocks_of, counts_in, deployed, expected_blocks
from tests.support.deployment import PARTITIONS, Deployment
from tests.support.ports import free_ports
from tests.support.previous_release import LABEL, NoHistory, is_shallow, previous_commit, unpacked_wheel
from tests.support.redis_server import RedisServer
from tests.support.servers import Broker
from tests.support.worker import Worker

pytestmark = [pytest.mark.scaleout, pytest.mark.guarantee, pytest.mark.timeout(600)]

AS_DOCUMENTED = ("aggregator", "api", "ingest")
THE_OTHER_WAY = ("ingest", "aggregator", "api")
RATE = 300
"""Events a second; two of each role share two cores while one is replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What a process runs: its version, and the variables that make it do so."""

    version: str
    environment: dict[str, str]


NEW = Build(version=running_version(), environment={})


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Build:
    try:
        commit = previous_commit()
    except NoHistory as missing:
        if os.environ.get("CI") == "true" and not is_shallow():
            pytest.fail(f"CI has the history, and yet: {missing}")
        pytest.skip(str(missing))
    place, version = unpacked_wheel(commit, tmp_path_factory.mktemp("previous"))
    return Build(version=version, environment={"PYTHONPATH": str(place)})


class Rolling:
    """One process of each role, replaced one by one: the next one is up before the last one is told to end."""

    def __init__(self, deployment: Deployment, first: Build) -> None:
        self._deployment = deployment
        self._current: dict[str, Worker] = {}
        self._ports: dict[str, int] = {}
        self._told: dict[tuple[str, str], int] = {}
        for role in AS_DOCUMENTED:
            self._current[role] = self._start(role, first)
        for worker in self._current.values():
            worker.await_ready()

    def replace(self, roles: Sequence[str], build: Build) -> None:
        for role in roles:
            last, worker = self._current[role], self._start(role, build)
            worker.await_ready()
            assert worker.metric("tidemark_build_info", version=build.version) == 1, worker.tail()
            self._look(last, worker, self._current["api"])
            assert last.stop() == 0, last.tail()
            self._current[role] = worker
            await_progress(self._deployment, self._deployment.applied())
            self._look(self._current["api"])
        assert not [each.exits for each in self._current.values() if each.exits]

    @property
    def port(self) -> int:
        """Of the query API."""
        return self._ports[self._current["api"].name]

    def _start(self, role: str, build: Build) -> Worker:
        variables = {}
        if role == "api":
            variables["api__port"] = str(free_ports(1)[0])
        worker = self._deployment.worker(role, restarts=False, variables=variables, environment=build.environment)
        if role == "api":
            self._ports[worker.name] = int(variables["api__port"])
        worker.start()
        return worker

    def _look(self, *workers: Worker) -> None:
        """Ask each process of the API among these: none may say less than any said before."""
        for worker in workers:
            if worker.role == "api":
                counts = counts_in(blocks_of(ask(self._deployment, self._ports[worker.name])))
                assert counts
                assert all(counts.get(name, 0) >= number for name, number in self._told.items()), (self._told, counts)
                self._told = counts


def test_processes_of_two_releases_count_together_whichever_is_replaced_first(
    old: Build, kafka: Broker, tmp_path: Path
) -> None:
    assert old.version.endswith(LABEL)
    with RedisServer.start_new() as redis, deployed(tmp_path / "d", kafka.bootstrap, redis.url) as deployment:
        rolling = Rolling(deployment, old)
        with lasting_load(deployment, 60, RATE) as publisher:
            await_progress(deployment, [-1] * PARTITIONS, 2)
            rolling.replace(AS_DOCUMENTED, NEW)
            rolling.replace(THE_OTHER_WAY, old)
            rolling.replace(THE_OTHER_WAY, NEW)
            publisher.finish()
        published = publisher.published
        verdict = assert_right(deployment, published)
        assert verdict.events > 2_000
        assert blocks_of(ask(deployment, rolling.port)) == expected_blocks(deployment, published)
