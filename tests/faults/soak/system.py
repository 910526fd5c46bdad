"""The whole of Tidemark on servers of its own: two ingest, two aggregators, one API.

Kafka is one broker, or three with all links secured; Redis is one server, or a cluster. Each stands behind a proxy but
the nodes of a Redis Cluster, which tell their own addresses.
"""

import asyncio
import random
import shutil
import tempfile
from pathlib import Path

import redis

from services.stores import open_store, read_states
from tests.support.deployment import Deployment
from tests.support.kafka_cluster import BROKERS, KafkaCluster
from tests.support.kafka_security import Secured
from tests.support.kafka_server import KafkaServer
from tests.support.on_stack import OnStack
from tests.support.pipeline import await_condition
from tests.support.ports import LOOPBACK, free_ports
from tests.support.redis_cluster import RedisCluster
from tests.support.redis_server import RedisServer
from tests.support.tcp_proxy import TcpProxy
from tests.support.worker import Worker

ROLES = ("ingest", "ingest", "aggregator", "aggregator", "api")
EVENT_PARTITIONS = 4
USER, PASSWORD = "tidemark", "the-password-of-the-soak"
SETTLE_SECONDS = 60
"""In which a system that nobody disturbs any more must have caught up."""


class System(OnStack):
    """Every client reaches what has a proxy through that only. Use it as a context manager.

    Args:
        secured: whether Kafka is three brokers that talk by TLS and know users by SCRAM, instead of one.
        on_cluster: whether the counters lie on a Redis Cluster, `cluster`, instead of on one server, `redis`.
    """

    def __init__(self, *, secured: bool = False, on_cluster: bool = False) -> None:
        self.secured = secured
        self.on_cluster = on_cluster
        super().__init__()
        self.directory = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="tidemark-soak-")))

    def _start(self) -> None:
        redis = self._start_cluster() if self.on_cluster else self._start_redis()
        self.deployment = Deployment(
            self.directory,
            **(self._start_secured_kafka() if self.secured else self._start_kafka()),
            redis=redis,
            api__port=str(free_ports(1)[0]),
            topics__events_partitions=str(EVENT_PARTITIONS),
        ).begin()
        self._stack.callback(self.deployment.close)
        self.deployment.start(*ROLES)

    def _start_redis(self) -> str:
        """Start one server, and return the URL of its proxy."""
        self.redis = RedisServer.start_new()
        self._stack.callback(self._close_redis)
        self.redis_proxy = self._stack.enter_context(TcpProxy(self.redis.port))
        return f"redis://{self.redis_proxy.address}/0"

    def _start_cluster(self) -> str:
        """Start a Redis Cluster, and return its URL."""
        self.cluster = self._stack.enter_context(RedisCluster.start_new())
        return self.cluster.url

    def _start_kafka(self) -> dict[str, str]:
        """Start a broker, and return the settings of its proxy."""
        advertised: dict[str, str] = {}
        kafka = KafkaServer(Path(tempfile.mkdtemp(prefix="tidemark-kafka-")), extra=advertised)
        self._stack.callback(shutil.rmtree, kafka.directory, ignore_errors=True)
        proxy = self._stack.enter_context(TcpProxy(kafka.port))
        # Whoever asks the broker where it is goes through the proxy from then on.
        advertised["advertised.listeners"] = f"PLAINTEXT://{proxy.address}"
        self._stack.callback(kafka.kill)
        kafka.start()
        self._brokers: list[tuple[KafkaServer, TcpProxy]] = [(kafka, proxy)]
        return {"kafka": proxy.address}

    def _start_secured_kafka(self) -> dict[str, str]:
        """Start three brokers, and return the settings of a client that comes through their proxies."""
        security = Secured(self.directory / "pki", {USER: PASSWORD}, authorizing=False)
        cluster = KafkaCluster(Path(tempfile.mkdtemp(prefix="tidemark-cluster-")), security)
        self._brokers = [(node, self._stack.enter_context(TcpProxy(node.port))) for node in cluster.nodes]
        self._stack.callback(cluster.close)  # before the proxies: their connections end with it
        for node, (_, proxy) in zip(cluster.nodes, self._brokers, strict=True):
            node.advertised = proxy.address
        cluster.heal()
        client = {f"kafka__{name}": str(value) for name, value in security.as_user(USER).items()}
        return {"kafka": cluster.bootstrap, "topics__replication": str(BROKERS), **client}

    def broker(self, rng: random.Random) -> tuple[KafkaServer, TcpProxy]:
        """Return a broker to do harm to, and the proxy before it."""
        return self._brokers[0] if len(self._brokers) == 1 else rng.choice(self._brokers)

    def _close_redis(self) -> None:
        self.redis.close()  # whichever serves by then

    @property
    def workers(self) -> list[Worker]:
        return self.deployment.workers

    def one_of(self, role: str, rng: random.Random) -> Worker:
        return rng.choice([worker for worker in self.workers if worker.role == role])

    def settle(self, seconds: float = SETTLE_SECONDS) -> None:
        """Wait until what is published now is applied and every process is ready: so long a fault lasts."""
        self.deployment.catch_up(seconds)
        for worker in self.workers:
            worker.await_ready(seconds)

    def applied(self) -> list[int]:
        """Return the applied offset of each partition, -1 for none, asking Redis past the proxy."""
        settings = self.deployment.settings
        url = settings.redis.url if self.on_cluster else self.redis.url
        direct = settings.model_copy(update={"redis": settings.redis.model_copy(update={"url": url})})

        async def read() -> list[int]:
            async with open_store(direct) as store:
                states = await read_states(store, settings.topics.frames_partitions)
                return [-1 if state is None else int(state.applied_offset) for state in states]

        return asyncio.run(read())

    def copy_of_redis(self) -> Path:
        """Return a copy of the append-only file as it is now, without stopping the server."""
        with redis_client(self.redis) as client:
            # A rewrite in the middle would leave a copy that belongs to neither.
            client.config_set("auto-aof-rewrite-percentage", 0)
            await_condition(
                lambda: not client.info("persistence")["aof_rewrite_in_progress"], "no rewrite goes on", seconds=60
            )
        return self.redis.copy_files()

    def restore_redis(self, copy: Path) -> None:
        """Put a copy in the place of the append-only file of a Redis that does not run."""
        self.redis.restore_files(copy)
        shutil.rmtree(copy)


def redis_client(server: RedisServer) -> redis.Redis:
    """Return a client of a server, past any proxy; its `with` closes it."""
    return redis.Redis(host=LOOPBACK, port=server.port, socket_timeout=10)
