"""The starters that every guarantee test stands on: a restart keeps address and data, and nothing is left behind."""

import socket
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.support import servers
from tests.support.child_process import ChildProcess, ServerDidNotStart
from tests.support.ports import LOOPBACK, free_ports, listens
from tests.support.redis_server import RedisServer
from tests.support.tansu_server import TansuServer


def ask_redis(server: RedisServer, command: str) -> str:
    with socket.create_connection((LOOPBACK, server.port), timeout=5) as connection:
        connection.sendall(f"{command}\r\n".encode())
        return connection.recv(100).decode().strip()


def test_a_killed_redis_comes_back_at_its_address_with_what_it_wrote() -> None:
    with RedisServer.start_new() as server:
        first = server.pid
        assert ask_redis(server, "SET a 1") == "+OK"
        server.kill()
        server.start()
        assert server.pid != first
        assert ask_redis(server, "EXISTS a") == ":1"
    assert not server.directory.exists()


@pytest.mark.guarantee
def test_a_killed_kafka_comes_back_at_its_address_with_its_topics() -> None:
    broker = servers.start_broker()
    with closing(broker):
        admin = AdminClient({"bootstrap.servers": broker.bootstrap})
        admin.create_topics([NewTopic("kept", 3)])["kept"].result(30)
        broker.kill()
        broker.start()
        reader = AdminClient({"bootstrap.servers": broker.bootstrap})
        assert len(reader.list_topics(timeout=30).topics["kept"].partitions) == 3


def test_the_embedded_broker_starts() -> None:
    with TansuServer.start_new() as server:
        assert listens(server.pid, server.port)


def test_a_stranger_on_the_port_does_not_count_as_ours() -> None:
    with socket.socket() as stranger, TansuServer.start_new() as server:
        stranger.bind((LOOPBACK, 0))
        stranger.listen()
        assert not listens(server.pid, stranger.getsockname()[1])


def test_a_server_that_ends_at_once_shows_the_end_of_its_log(tmp_path: Path) -> None:
    child = ChildProcess("echo", ["sh", "-c", "echo why; exit 3"], directory=tmp_path, log=tmp_path / "log")
    with pytest.raises(ServerDidNotStart, match=r"(?s)echo ended with code 3.*why"):
        child.wait_until(lambda: False, seconds=10)


def test_free_ports_are_different() -> None:
    assert len(set(free_ports(20))) == 20
