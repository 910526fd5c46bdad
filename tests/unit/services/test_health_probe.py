"""The image's health check as a program."""

import socket
from collections.abc import Iterator

import pytest

from services.health import HealthServer
from services.health_probe import NO_ANSWER, USAGE, main
from services.telemetry import Telemetry


@pytest.fixture
def server() -> Iterator[HealthServer]:
    running = HealthServer(Telemetry("ingest"))
    running.start()
    yield running
    running.stop()


def test_a_healthy_process_is_0_though_it_is_not_ready(
    server: HealthServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.not_ready("kafka", "it is away")
    assert main([server.address]) == 0
    assert main([server.address, "/readyz"]) == 1
    assert capsys.readouterr().out == '{"status": "healthy"}\n{"kafka": "it is away"}\n'


def test_a_stuck_process_is_1(server: HealthServer) -> None:
    server.stuck("the event loop has not turned for 10 s")
    assert main([server.address]) == 1


def test_a_process_that_is_gone_is_1(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert main([f"127.0.0.1:{free.getsockname()[1]}"]) == 1
    assert capsys.readouterr().out == NO_ANSWER + "\n"


@pytest.mark.parametrize("arguments", [[], ["localhost"], ["127.0.0.1:http"], ["a:1", "/healthz", "more"]])
def test_who_asks_wrongly_is_told_how(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err == USAGE + "\n"
