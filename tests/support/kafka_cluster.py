"""Three Apache Kafka brokers and a controller (KRaft): replication 3, no unclean election.

The controller is a process of its own, so that with any broker down, or two, the others go on and say what is missing.
"""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Self, TypeVar

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from services.kafka import make_admin
from services.settings import KafkaSettings
from tests.support.kafka_security import PLAIN, Security
from tests.support.kafka_server import KafkaServer, new_uuid, write_properties
from tests.support.pipeline import await_condition
from tests.support.ports import LOOPBACK

BROKERS = 3
_CONTROLLER = 100
_JOIN_SECONDS = 60
_ATTEMPTS = 20
_PAUSE_SECONDS = 0.2

_SHARED: Mapping[str, str] = MappingProxyType(
    {
        "default.replication.factor": str(BROKERS),
        # Of the consumer groups' offsets; Tidemark asks for 2 of its topics itself.
        "min.insync.replicas": "1",
        "unclean.leader.election.enable": "false",
        "offsets.topic.replication.factor": str(BROKERS),
        "transaction.state.log.replication.factor": str(BROKERS),
        "transaction.state.log.min.isr": "2",
        # A replica that follows no more leaves the in-sync ones after so long, not after 30 s.
        "replica.lag.time.max.ms": "4000",
    }
)

Answer = TypeVar("Answer")


class ClusterNode(KafkaServer):
    """One process of the cluster: a broker, or the controller where none is given."""

    jvm = ("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

    def __init__(
        self,
        directory: Path,
        number: int,
        cluster_id: str,
        controller: "ClusterNode | None" = None,
        security: Security = PLAIN,
    ) -> None:
        super().__init__(directory)
        self.number = number
        self.advertised = self.bootstrap
        self._cluster_id = cluster_id
        self._controller = controller
        self._security = security

    def _serves_at(self) -> int:
        return self.controller_port if self._controller is None else self.port

    def _settings(self) -> dict[str, str]:
        controller = self._controller or self
        address = f"{LOOPBACK}:{controller.controller_port}"
        settings: dict[str, str] = {**super()._settings(), **_SHARED}
        settings |= {"node.id": str(self.number), "controller.quorum.bootstrap.servers": address}
        if self._controller is None:
            del settings["advertised.listeners"]
            listener = f"CONTROLLER://{address}"
            return settings | {"process.roles": "controller", "listeners": listener, **self._security.of_controller()}
        name = self._security.listener
        settings |= {"process.roles": "broker", "listeners": f"{name}://{self.bootstrap}"}
        return settings | {"advertised.listeners": f"{name}://{self.advertised}", **self._security.of_broker()}

    def _format_options(self) -> list[str]:
        return [*super()._format_options(), *self._security.format_options()]

    def _format(self, configuration: Path) -> None:
        if self._controller is None:
            super()._format(configuration)
            return
        write_properties(configuration, self._settings())
        data = self.directory / "data"
        data.mkdir()
        # All that the storage tool leaves for a broker that is no controller; the tool costs a JVM's start.
        identity = {"version": "1", "cluster.id": self._cluster_id, "node.id": str(self.number)}
        write_properties(data / "meta.properties", identity | {"directory.id": new_uuid()})


class KafkaCluster:
    """The brokers are `nodes`; each may be stopped, killed, frozen and started again at its address.

    Args:
        security: of all its links; `tests.support.kafka_security`.
    """

    def __init__(self, directory: Path, security: Security = PLAIN) -> None:
        self.directory = directory
        self.security = security
        cluster_id = new_uuid()
        self.controller = self._node(_CONTROLLER, cluster_id)
        self.nodes = [self._node(number, cluster_id, self.controller) for number in range(1, BROKERS + 1)]

    @classmethod
    def start_new(cls, security: Security = PLAIN) -> Self:
        """Start one in a new temporary directory, which `close` removes."""
        cluster = cls(Path(tempfile.mkdtemp(prefix="tidemark-cluster-")), security)
        try:
            cluster.heal()
        except BaseException:
            cluster.close()
            raise
        return cluster

    @property
    def bootstrap(self) -> str:
        """The addresses of all brokers, with commas."""
        return ",".join(node.advertised for node in self.nodes)

    def node(self, number: int) -> ClusterNode:
        return next(node for node in self.nodes if node.number == number)

    def heal(self) -> None:
        """Thaw and start what is not up; return when all serve and every partition has all its replicas in sync."""
        for node in (self.controller, *self.nodes):
            if node.running:
                node.thaw()
        down = [node for node in (self.controller, *self.nodes) if not node.running]
        for node in down:
            node.begin()
        for node in down:
            node.await_started()
        await_condition(self._is_whole, "all replicas are in sync", seconds=_JOIN_SECONDS, every=0.2)

    def close(self) -> None:
        for node in (*self.nodes, self.controller):
            node.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def leaders(self, topic: str) -> list[int]:
        """Return which broker leads each partition, -1 where none does."""

        async def ask(admin: AIOKafkaAdminClient) -> list[int]:
            [found] = await admin.describe_topics([topic])
            return [row["leader"] for row in sorted(found["partitions"], key=lambda row: int(row["partition"]))]

        return self.ask(ask)

    def coordinator(self, group: str) -> int:
        """Return which broker coordinates a consumer group."""

        async def ask(admin: AIOKafkaAdminClient) -> int:
            return int(await admin.find_coordinator(group))

        return self.ask(ask)

    def in_sync(self, topic: str) -> int:
        """Return how many replicas the worst partition of a topic has in sync."""

        async def ask(admin: AIOKafkaAdminClient) -> int:
            [found] = await admin.describe_topics([topic])
            return min(len(row["isr"]) for row in found["partitions"])

        return self.ask(ask)

    def ask(self, question: Callable[[AIOKafkaAdminClient], Awaitable[Answer]]) -> Answer:
        """Return what an admin client answers; one that asked a dead broker asks again."""

        direct = ",".join(node.bootstrap for node in self.nodes)
        kafka = KafkaSettings(bootstrap_servers=direct, request_timeout=5.0, **self.security.as_admin())

        async def connected() -> Answer:
            admin = make_admin(kafka)
            try:
                await admin.start()
                return await question(admin)
            finally:
                await admin.close()

        for _ in range(_ATTEMPTS - 1):
            with suppress(KafkaError):
                return asyncio.run(connected())
            time.sleep(_PAUSE_SECONDS)
        return asyncio.run(connected())

    def _is_whole(self) -> bool:
        async def ask(admin: AIOKafkaAdminClient) -> bool:
            cluster = await admin.describe_cluster()
            topics = await admin.describe_topics()
            partitions = [row for topic in topics for row in topic["partitions"]]
            return len(cluster["brokers"]) == BROKERS and all(len(row["isr"]) == BROKERS for row in partitions)

        return self.ask(ask)

    def _node(self, number: int, cluster_id: str, controller: ClusterNode | None = None) -> ClusterNode:
        directory = self.directory / str(number)
        directory.mkdir()
        return ClusterNode(directory, number, cluster_id, controller, self.security)
