"""Servers for all tests, and a plain account of what this machine can and cannot prove."""

import itertools
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import settings

from tests.support import servers

# How long an example takes says more of what else runs on two cores than of the code.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")

ROOT = Path(__file__).parent.parent
_not_run = pytest.StashKey[int]()
# Database 0 belongs to whoever shares the server for a whole session; each `redis_url` gets one of the others, empty.
_databases = itertools.cycle(range(1, 16))


def pytest_report_header() -> list[str]:
    """Say which servers were found before anything runs."""
    rows = [("broker", servers.find_broker()), ("Redis", servers.find_redis())]
    lines = [f"{what:<8}{found.name:<44}{found.way.value}" for what, found in rows]
    missing = servers.missing_for_guarantees()
    if not missing:
        return [*lines, "guarantee tests run: both servers are real"]
    verb = "FAIL" if servers.real_is_required() else "are NOT RUN"
    return [*lines, f"guarantee tests {verb}: {missing}"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take guarantee tests out where no real servers are, unless CI demands them: then they fail at set-up."""
    if not servers.missing_for_guarantees() or servers.real_is_required():
        return
    out = [item for item in items if item.get_closest_marker("guarantee")]
    config.stash[_not_run] = len(out)
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]


def pytest_runtest_setup(item: pytest.Item) -> None:
    missing = servers.missing_for_guarantees()
    if missing and item.get_closest_marker("guarantee"):
        pytest.fail(f"{servers.REQUIRE_REAL}=1 demands real servers: {missing}", pytrace=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if count := config.stash.get(_not_run, 0):
        line = f"{count} guarantee tests NOT RUN: {servers.missing_for_guarantees()}"
        terminalreporter.write_line(line, yellow=True, bold=True)


@pytest.fixture(scope="session")
def kafka() -> Iterator[servers.Broker]:
    """The session's broker: Apache Kafka where it can be had. Tests share it and keep apart by topic prefix."""
    broker = servers.start_broker()
    yield broker
    broker.close()


@pytest.fixture(scope="session")
def redis_server() -> Iterator[servers.Redis]:
    """The session's Redis. Tests that stop or kill a server start their own: `RedisServer.start_new()`."""
    server = servers.start_redis()
    yield server
    server.close()


@pytest.fixture
def redis_url(redis_server: servers.Redis) -> str:
    """An empty database of the session's Redis; it stays this test's own for the next 14 tests that ask."""
    url = redis_server.url_of_database(next(_databases))
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(f"SELECT {address.path[1:]}\r\nFLUSHDB\r\n".encode())
        with connection.makefile("rb") as answers:
            assert [answers.readline(), answers.readline()] == [b"+OK\r\n", b"+OK\r\n"]
    return url


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of given documents and data beside the clone; CI must have it."""
    shared = ROOT.parent / "shared"
    if not shared.is_dir():
        if os.environ.get("CI") == "true":
            pytest.fail("CI needs the folder `shared` beside the clone")
        pytest.skip("the folder `shared` is not beside the clone")
    return shared
