"""Kafka and Redis in containers, through testcontainers, where a Docker engine answers.

Both have the face of `KafkaServer` and `RedisServer`. A fixed host port keeps the address over a restart.
"""

import os
import socket
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from docker.errors import DockerException
from testcontainers.community.kafka import KafkaContainer
from testcontainers.community.redis import RedisContainer
from testcontainers.core.container import DockerContainer
from testcontainers.core.docker_client import DockerClient

from tests.support.child_process import ServerDidNotStart
from tests.support.ports import free_ports
from tests.support.probes import kafka_answers, redis_answers
from tests.support.redis_server import DURABILITY

_KAFKA_IMAGE = "confluentinc/cp-kafka:8.1.0"
_REDIS_IMAGE = "redis:7.2-alpine"
_PULL_AND_START_SECONDS = 180
_ENGINE_SECONDS = 5
_POLL_SECONDS = 0.05


def engine_answers() -> bool:
    if not _something_listens(os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")):
        return False
    try:
        return bool(DockerClient(timeout=_ENGINE_SECONDS).client.ping())
    except (DockerException, OSError):  # no right to use it, a remote engine away
        return False


def _something_listens(address: str) -> bool:
    """Ask the bare socket first: the client leaves its own open where nobody answers, and warnings are errors here."""
    parts = urlsplit(address)
    try:
        if parts.scheme == "tcp":
            socket.create_connection((parts.hostname or "", parts.port or 2375), timeout=_ENGINE_SECONDS).close()
        elif parts.scheme == "unix":
            with socket.socket(socket.AF_UNIX) as engine:
                engine.connect(parts.path)
    except OSError:
        return False
    return True


class _ContainerServer:
    def __init__(self, container: DockerContainer, answers: Callable[[str, int], bool], port: int) -> None:
        self._container = container
        self._answers = answers
        self.port = port

    @property
    def host(self) -> str:
        return self._container.get_container_host_ip()

    @property
    def pid(self) -> int:
        """The process id as the engine's machine sees it; 0 while stopped."""
        wrapped = self._container.get_wrapped_container()
        wrapped.reload()
        return int(wrapped.attrs["State"]["Pid"])

    def start(self) -> None:
        """Start the same container again after `stop` or `kill`."""
        self._container.get_wrapped_container().start()
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + _PULL_AND_START_SECONDS
        while not self._answers(self.host, self.port):
            if time.monotonic() > deadline:
                output, errors = self._container.get_logs()
                raise ServerDidNotStart(f"the container was not ready:\n{(output + errors)[-3000:].decode()}")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        self._container.get_wrapped_container().stop()

    def kill(self) -> None:
        self._container.get_wrapped_container().kill()

    def close(self) -> None:
        self._container.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class DockerKafka(_ContainerServer):
    @classmethod
    def start_new(cls) -> Self:
        port = free_ports(1)[0]
        container = KafkaContainer(_KAFKA_IMAGE).with_kraft()
        container.with_bind_ports(container.port, port).with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
        container.with_env("KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS", "1000")
        container.start(timeout=_PULL_AND_START_SECONDS)
        server = cls(container, kafka_answers, port)
        server._wait()
        return server

    @property
    def bootstrap(self) -> str:
        return f"{self.host}:{self.port}"


class DockerRedis(_ContainerServer):
    @classmethod
    def start_new(cls) -> Self:
        port = free_ports(1)[0]
        container = RedisContainer(_REDIS_IMAGE)
        container.with_bind_ports(container.port, port).with_command(["redis-server", *DURABILITY])
        container.start()
        server = cls(container, redis_answers, port)
        server._wait()
        return server

    @property
    def url(self) -> str:
        return self.url_of_database(0)

    def url_of_database(self, number: int) -> str:
        return f"redis://{self.host}:{self.port}/{number}"
