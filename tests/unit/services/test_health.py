import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from services import health as health_module
from services.clock import monotonic_s
from services.health import LOOK_FOR_STOP_S, HealthServer, keep_beating
from services.lifecycle import Refused
from services.stuck import Look, Work
from services.telemetry import Telemetry


@pytest.fixture
def server(tmp_path: Path) -> Iterator[HealthServer]:
    running = HealthServer(Telemetry("api"), address_file=tmp_path / "sub" / "address")
    running.start()
    yield running
    running.stop()


def ask(server: HealthServer, path: str, method: str = "GET") -> tuple[int, bytes]:
    request = Request(f"http://{server.address}{path}", method=method)
    try:
        with urlopen(request, timeout=5) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        with error:
            return error.code, error.read()


def test_the_address_file_holds_the_address_while_the_server_runs(tmp_path: Path) -> None:
    file = tmp_path / "address"
    server = HealthServer(Telemetry("api"), address_file=file)
    server.start()
    assert file.read_text() == server.address + "\n"
    server.stop()
    server.stop()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "no-host.invalid"])
def test_an_address_that_cannot_be_had_is_refused_in_one_sentence(server: HealthServer, host: str) -> None:
    port = int(server.address.rpartition(":")[2])
    with pytest.raises(Refused, match=rf"{host}:{port} \(.+\): free the port, or set this role's host and port"):
        HealthServer(Telemetry("api"), host, port).start()


def test_an_address_file_that_cannot_be_written_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    server = HealthServer(Telemetry("api"), address_file=tmp_path / "file" / "address")
    with pytest.raises(Refused, match=r"cannot be written to .*address \(.+\): set this role's address_file"):
        server.start()


def test_it_serves_on_all_addresses_where_that_is_set(tmp_path: Path) -> None:
    running = HealthServer(Telemetry("ingest"), "0.0.0.0", address_file=tmp_path / "address")
    running.start()
    try:
        assert running.address.startswith("0.0.0.0:")
        assert ask(running, "/healthz")[0] == 200
    finally:
        running.stop()


def test_an_idle_server_stops_at_once(server: HealthServer) -> None:
    began_s = monotonic_s()
    server.stop()
    assert monotonic_s() - began_s < LOOK_FOR_STOP_S / 2


def test_healthy_until_the_watchdog_finds_it_stuck(server: HealthServer) -> None:
    assert ask(server, "/healthz") == (200, b'{"status": "healthy"}')
    server.stuck("the event loop has not turned for 10 s")
    status, body = ask(server, "/healthz")
    assert (status, json.loads(body)) == (503, {"stuck": "the event loop has not turned for 10 s"})
    server.stuck(None)
    assert ask(server, "/healthz")[0] == 200


def test_a_look_shows_turns_and_works_and_whether_a_dependency_is_away(server: HealthServer) -> None:
    works = {"a poll": Work(waits=True, mark=1)}
    with server.working(lambda: works):
        server.beat()
        assert server.look() == Look(turns=1, works=works)
    server.not_ready("assignment", "no partitions yet")
    assert server.look() == Look(turns=1)
    server.not_ready("redis", "it is away")
    server.not_ready("redis", "it is away")
    assert server.look().outages == 2
    server.ready("redis")
    assert server.look().outages is None


def test_ready_only_when_every_part_ever_named_is(server: HealthServer) -> None:
    assert ask(server, "/readyz")[0] == 200
    server.not_ready("redis", "does not answer")
    server.not_ready("kafka", "does not answer")
    server.ready("kafka")
    status, body = ask(server, "/readyz")
    assert (status, json.loads(body)) == (503, {"redis": "does not answer"})
    assert ask(server, "/healthz")[0] == 200
    server.ready("redis")
    assert ask(server, "/readyz")[0] == 200


async def test_a_part_that_is_long_awaited_is_missing_until_it_answers(
    server: HealthServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_module, "SILENT_AFTER_S", 0.01)
    told = asyncio.Event()
    not_ready = server.not_ready

    def tell(part: str, why: str) -> None:
        not_ready(part, why)
        told.set()

    monkeypatch.setattr(server, "not_ready", tell)
    with server.awaiting("kafka", "it is silent"):
        await asyncio.wait_for(told.wait(), 5)
        assert json.loads(server.page("/readyz")[2]) == {"kafka": "it is silent"}
    assert server.page("/readyz")[0] == 200


def test_metrics_are_served_and_a_head_has_no_body(server: HealthServer) -> None:
    status, body = ask(server, "/metrics")
    assert status == 200
    assert b"tidemark_build_info" in body
    assert ask(server, "/metrics", method="HEAD") == (200, b"")


def test_other_paths_and_methods_are_refused(server: HealthServer) -> None:
    assert ask(server, "/")[0] == 404
    assert ask(server, "/healthz", method="POST")[0] == 501


async def test_keep_beating_beats_until_cancelled(server: HealthServer, monkeypatch: pytest.MonkeyPatch) -> None:
    beats = asyncio.Queue[None]()
    monkeypatch.setattr(health_module, "BEAT_INTERVAL_S", 0.001)
    monkeypatch.setattr(server, "beat", lambda: beats.put_nowait(None))
    task = asyncio.create_task(keep_beating(server))
    for _ in range(3):
        await asyncio.wait_for(beats.get(), timeout=5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
