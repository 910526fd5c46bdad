"""The keys at an address, over real HTTP; only the clock is the test's."""

import asyncio
import time
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from query_api.jwks import FIRST_INTERVAL_S, UNKNOWN_INTERVAL_S, WAIT_S, KeyAddress, KeysUnavailable
from query_api.jwks_fetch import Fetched, KeyFetcher, NothingRead
from query_api.verifying import TokenVerifier
from services.token_keys import KEY_BYTES_MAX, VerificationKey
from services.tokens import BadToken
from tests.support.answering_server import AnsweringServer
from tests.support.ports import LOOPBACK, free_ports
from tests.support.signing import ec_key, hmac_token, jwk, jwks, payload, rsa_key, token

FIRST, SECOND = rsa_key("rsa-1"), rsa_key("rsa-2")
INTERVAL_S = 300.0
SECRET = "a secret for tests that is long enough"


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the host however slow this machine is; the test of the real time sets it back."""
    monkeypatch.setattr("query_api.jwks.WAIT_S", 20.0)


@dataclass
class Clock:
    now_s: float = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> Iterator[AnsweringServer]:
    with AnsweringServer(jwks(jwk(FIRST, "1"))) as server:
        yield server


@pytest.fixture
def address(server: AnsweringServer, clock: Clock) -> KeyAddress:
    return KeyAddress(server.url, interval_s=INTERVAL_S, now_s=clock)


def verifier_of(address: KeyAddress, *fixed: VerificationKey) -> TokenVerifier:
    return TokenVerifier(issuer="tidemark", audience="tidemark-api", fixed=fixed, address=address)


@pytest.fixture
def verifier(address: KeyAddress) -> TokenVerifier:
    return verifier_of(address)


async def fetched(url: str) -> Fetched:
    return await KeyFetcher(url).fetch()


async def is_accepted(verifier: TokenVerifier, text: str) -> bool:
    try:
        return (await verifier.claims(text)).subject == "ada"
    except BadToken:
        return False


async def is_unknown(verifier: TokenVerifier, text: str) -> bool:
    try:
        await verifier.claims(text)
    except KeysUnavailable:
        return True
    return False


async def test_tokens_of_the_keys_there_are_accepted_after_one_request(
    server: AnsweringServer, verifier: TokenVerifier
) -> None:
    server.body = jwks(jwk(FIRST, "1"), jwk(ec_key(), "2"), {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"})
    assert await is_accepted(verifier, token(FIRST, "1"))
    assert await is_accepted(verifier, token(ec_key(), "2"))
    assert await is_accepted(verifier, token(FIRST))
    assert not await is_accepted(verifier, token(SECOND, "1"))
    assert not await is_accepted(verifier, token(SECOND))
    assert server.requests == 1


async def test_a_rotated_key_is_found_by_its_new_name_at_once(server: AnsweringServer, verifier: TokenVerifier) -> None:
    assert await is_accepted(verifier, token(FIRST, "1"))
    server.body = jwks(jwk(FIRST, "1"), jwk(SECOND, "2"))
    assert await is_accepted(verifier, token(SECOND, "2"))
    assert await is_accepted(verifier, token(FIRST, "1"))
    assert server.requests == 2


async def test_a_flood_of_unknown_names_makes_one_request_in_half_a_minute(
    server: AnsweringServer, verifier: TokenVerifier, clock: Clock
) -> None:
    assert await is_accepted(verifier, token(FIRST, "1"))

    async def flood(which: str) -> None:
        texts = [token(SECOND, f"{which}-{number}") for number in range(100)]
        assert not any(await asyncio.gather(*[is_accepted(verifier, text) for text in texts]))
        assert not any([await is_accepted(verifier, text) for text in texts[:20]])

    await flood("a")
    assert server.requests == 2
    clock.now_s += UNKNOWN_INTERVAL_S - 1
    await flood("b")
    assert server.requests == 2
    clock.now_s += 1
    await flood("c")
    assert server.requests == 3
    assert await is_accepted(verifier, token(FIRST, "1"))


async def test_a_flood_before_anything_was_read_makes_one_request_and_one_more(
    server: AnsweringServer, verifier: TokenVerifier
) -> None:
    texts = [token(SECOND, f"unknown-{number}") for number in range(100)]
    assert not any(await asyncio.gather(*[is_accepted(verifier, text) for text in texts]))
    assert server.requests == 1
    assert not any(await asyncio.gather(*[is_accepted(verifier, text) for text in texts]))
    assert server.requests == 2


async def test_a_withdrawn_key_is_refused_when_the_keys_are_old(
    server: AnsweringServer, verifier: TokenVerifier, clock: Clock
) -> None:
    assert await is_accepted(verifier, token(FIRST, "1"))
    server.body = jwks(jwk(SECOND, "2"))
    clock.now_s += INTERVAL_S - 1
    assert await is_accepted(verifier, token(FIRST, "1"))
    clock.now_s += 1
    assert not await is_accepted(verifier, token(FIRST, "1"))
    assert await is_accepted(verifier, token(SECOND, "2"))
    assert server.requests == 2


async def test_a_host_that_withdraws_every_key_is_believed(
    server: AnsweringServer, verifier: TokenVerifier, clock: Clock
) -> None:
    assert await is_accepted(verifier, token(FIRST, "1"))
    server.body = jwks()
    clock.now_s += INTERVAL_S
    assert not await is_accepted(verifier, token(FIRST, "1"))


GARBAGE = [(200, b"<html>"), (200, b'{"keys": 1}'), (200, b" " * (KEY_BYTES_MAX + 1)), (500, b""), (404, jwks())]


@pytest.mark.parametrize(("status", "body"), GARBAGE)
async def test_old_keys_stay_while_the_host_answers_garbage_and_it_is_asked_now_and_then(
    server: AnsweringServer,
    verifier: TokenVerifier,
    clock: Clock,
    status: int,
    body: bytes,
    logged: list[MutableMapping[str, Any]],
) -> None:
    assert await is_accepted(verifier, token(FIRST, "1"))
    server.status, server.body = status, body
    clock.now_s += INTERVAL_S
    for _ in range(5):
        assert await is_accepted(verifier, token(FIRST, "1"))
        assert not await is_accepted(verifier, token(SECOND, "2"))
    assert server.requests == 2
    assert [line["event"] for line in logged] == ["jwks_read", "jwks_unavailable"]
    server.status, server.body = 200, jwks(jwk(SECOND, "2"))
    clock.now_s += UNKNOWN_INTERVAL_S
    assert await is_accepted(verifier, token(SECOND, "2"))
    assert not await is_accepted(verifier, token(FIRST, "1"))


async def test_old_keys_stay_while_the_host_is_down(
    server: AnsweringServer, verifier: TokenVerifier, clock: Clock
) -> None:
    assert await is_accepted(verifier, token(FIRST, "1"))
    server.close()
    for _ in range(3):
        clock.now_s += 86_400
        assert await is_accepted(verifier, token(FIRST, "1"))
        assert not await is_accepted(verifier, token(SECOND, "2"))


async def test_a_host_that_was_never_there_leaves_tokens_undecided_until_it_comes(
    server: AnsweringServer, verifier: TokenVerifier, clock: Clock
) -> None:
    server.status = 503
    for text in (token(FIRST, "1"), token(FIRST), token(SECOND, "2")):
        assert await is_unknown(verifier, text)
    assert server.requests == 1
    assert not await is_accepted(verifier, "no token at all")
    server.status = 200
    clock.now_s += FIRST_INTERVAL_S
    assert await is_accepted(verifier, token(FIRST, "1"))


async def test_a_host_that_does_not_answer_holds_nobody_up_for_long(
    server: AnsweringServer, verifier: TokenVerifier, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await is_accepted(verifier, token(FIRST, "1"))
    monkeypatch.setattr("query_api.jwks.WAIT_S", WAIT_S)
    server.go.clear()
    clock.now_s += INTERVAL_S
    started_s = time.monotonic()
    assert all(await asyncio.gather(*[is_accepted(verifier, token(FIRST, "1")) for _ in range(50)]))
    assert time.monotonic() - started_s < WAIT_S + 1.5
    server.body = jwks(jwk(SECOND, "2"))
    monkeypatch.setattr("query_api.jwks.WAIT_S", 20.0)
    server.go.set()
    assert await is_accepted(verifier, token(SECOND, "2"))
    assert server.requests == 2


async def test_one_who_gives_up_waiting_does_not_end_the_fetch_for_the_others(
    server: AnsweringServer, verifier: TokenVerifier
) -> None:
    server.go.clear()
    leaving, staying = (asyncio.create_task(is_accepted(verifier, token(FIRST, "1"))) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    server.go.set()
    assert await staying
    with suppress(asyncio.CancelledError):
        await leaving


async def test_the_address_is_not_asked_for_a_token_of_another_key(
    server: AnsweringServer, address: KeyAddress
) -> None:
    verifier = verifier_of(address, VerificationKey(key=SECRET))
    assert await is_accepted(verifier, hmac_token(SECRET.encode(), payload(), {"kid": "unknown"}))
    for text in ("garbage", hmac_token(b"x", payload(), {"alg": "none"}), token(FIRST, headers={"jku": server.url})):
        assert not await is_accepted(verifier, text)
    assert server.requests == 0


async def test_a_secret_in_the_set_of_an_address_signs_nothing(
    server: AnsweringServer, verifier: TokenVerifier
) -> None:
    server.body = jwks(jwk(FIRST, "1"), {"kty": "oct", "kid": "s", "k": "c2VjcmV0" * 8})
    assert not await is_accepted(verifier, hmac_token(b"secret" * 8, payload(), {"kid": "s"}))


async def test_a_warm_verifier_waits_for_nothing(server: AnsweringServer, verifier: TokenVerifier) -> None:
    await verifier.warm_up()
    assert server.requests == 1
    assert await is_accepted(verifier, token(FIRST, "1"))
    assert server.requests == 1


async def test_to_warm_up_on_a_host_that_is_down_is_no_failure(
    server: AnsweringServer, verifier: TokenVerifier
) -> None:
    server.close()
    await verifier.warm_up()


async def test_a_redirect_is_not_followed(server: AnsweringServer) -> None:
    with AnsweringServer(jwks(jwk(SECOND, "2"))) as elsewhere:
        for status in (301, 302, 307):
            server.status, server.headers = status, {"Location": elsewhere.url}
            assert await fetched(server.url) == NothingRead(why=f"the address answered {status}")
        assert elsewhere.requests == 0


async def test_a_long_answer_is_not_read_to_its_end(server: AnsweringServer) -> None:
    server.body = b" " * 50_000_000
    found = await fetched(server.url)
    assert isinstance(found, NothingRead)
    assert "more than" in found.why


async def test_a_host_that_never_ends_its_answer_is_given_up_and_asked_again_when_it_has(
    server: AnsweringServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("query_api.jwks_fetch.TOTAL_TIMEOUT_S", 0.1)
    server.drip = True
    server.go.clear()
    fetcher = KeyFetcher(server.url)
    assert await fetcher.fetch() == NothingRead(why="the address does not end its answer")
    for _ in range(3):
        assert await fetcher.fetch() == NothingRead(why="the address has not ended its last answer")
    monkeypatch.setattr("query_api.jwks_fetch.TOTAL_TIMEOUT_S", 10.0)
    server.drip = False
    server.go.set()
    deadline_s = time.monotonic() + 10
    while isinstance(found := await fetcher.fetch(), NothingRead):
        assert time.monotonic() < deadline_s
        await asyncio.sleep(0.01)
    assert [key.kid for key in found] == ["1"]
    # One that was given up, and this one. The first may be late at the host: it is counted here.
    assert server.requests == 2


async def test_an_answer_that_takes_too_long_is_given_up(
    server: AnsweringServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("query_api.jwks_fetch.BODY_TIMEOUT_S", -1.0)
    found = await fetched(server.url)
    assert isinstance(found, NothingRead)
    assert "too slow" in found.why


async def test_a_host_that_is_not_there_is_nothing_read() -> None:
    (port,) = free_ports(1)
    for url in (f"http://{LOOPBACK}:{port}/", f"https://{LOOPBACK}:{port}/"):
        assert isinstance(await fetched(url), NothingRead)


async def test_an_answer_that_is_no_http_is_nothing_read() -> None:
    async def speak(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 smtp.example ready\r\n")
        writer.close()

    async with await asyncio.start_server(speak, LOOPBACK, 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert isinstance(await fetched(f"http://{LOOPBACK}:{port}/"), NothingRead)
