"""What a client is told whose link to Redis is set up wrong: one sentence, with the setting and the remedy."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from services.counters import ReadRequest, StoreRefused, StoreUnavailable
from services.identifiers import PartitionId
from services.redis_client import answers
from services.settings_loading import load_settings
from services.stores import open_store
from tests.scaleout.refused_worker import last_line_of_a_refused
from tests.support.certificates import Authority
from tests.support.redis_server import RedisServer
from tests.support.secured_redis import SecuredRedis, hashed
from tests.support.worker import Worker

pytestmark = [
    pytest.mark.guarantee,
    pytest.mark.timeout(60),
    # The client leaves a connection behind whose other side ended TLS.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

PASSWORD = "the-password-of-the-reader"
USERS = (
    f"user reader on {hashed(PASSWORD)} ~tm:* resetchannels -@all +client|setname +ping +script|load +evalsha",
    f"user elsewhere on {hashed(PASSWORD)} ~other:* resetchannels +@all",
)
TIMEOUT_S = 5.0


class World:
    """A Redis that asks for certificates, two with bad ones of their own, one without TLS; and files."""

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        authority, stranger = Authority(directory / "good"), Authority(directory / "stranger", "Strangers")
        good = authority.certificate("redis")

        def start(name: str, **options: Any) -> SecuredRedis:
            options = {"shown": good, "passwords": {}, "wants_certificate": False} | options
            server = SecuredRedis.start_with(directory / name, authority=authority, **options)
            stack.callback(server.close)
            return server

        self.plain = stack.enter_context(RedisServer.start_new())
        mutual = start("mutual", users=USERS, wants_certificate=True)
        self.urls = {
            "mutual": mutual.url,
            "mutual, without TLS": mutual.url.replace("rediss", "redis"),
            "expired": start("expired", shown=authority.certificate("expired", days=-3)).url,
            "other host": start("other", shown=authority.certificate("other", host="redis.example")).url,
            "plain, with TLS": self.plain.url.replace("redis", "rediss"),
        }
        ours, theirs = authority.certificate("client"), stranger.certificate("client")
        tls = {"ssl_ca_file": authority.file}
        named = {"username": "reader", "password": PASSWORD}
        right = tls | named | {"ssl_certificate_file": ours.certificate, "ssl_key_file": ours.key}
        self.settings: dict[str, dict[str, Any]] = {
            "nothing": {},
            "tls": tls,
            "right": right,
            "another authority": right | {"ssl_ca_file": stranger.file},
            "this machine's authorities": right | {"ssl_ca_file": None},
            "no certificate": tls | named,
            "certificate of a stranger": right | {"ssl_certificate_file": theirs.both, "ssl_key_file": None},
            "wrong password": right | {"password": "no-no-no"},
            "no user": {name: value for name, value in right.items() if name not in named},
            "other keys": right | {"username": "elsewhere"},
        }

    def redis_settings(self, server: str, settings: str) -> dict[str, Any]:
        return {"url": self.urls[server], "timeout": TIMEOUT_S, **self.settings[settings]}

    def ask(self, server: str, settings: str, *, read: bool = False) -> str:
        """Return what a question ends with, empty where it succeeds."""
        loaded = load_settings({"redis": self.redis_settings(server, settings)})

        async def question() -> None:
            if not read:
                await answers(loaded.redis, timeout_s=TIMEOUT_S)
                return
            async with open_store(loaded) as store:
                await store.read(PartitionId(0), ReadRequest(whole=["tm:{0}:whatever"]))

        try:
            asyncio.run(question())
        except (StoreRefused, StoreUnavailable) as error:
            return f"{type(error).__name__}: {error}"
        return ""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with ExitStack() as stack:
        yield World(tmp_path_factory.mktemp("links"), stack)


@pytest.fixture(autouse=True)
def _tidy() -> Iterator[None]:
    yield
    gc.collect()  # what is left behind shows here, and not in another test


def test_what_is_set_up_right_is_let_in(world: World) -> None:
    assert world.ask("mutual", "right") == ""


@pytest.mark.parametrize(
    ("server", "settings", "words"),
    [
        ("mutual", "another authority", ["signed by nobody", "TIDEMARK_REDIS__SSL_CA_FILE"]),
        ("mutual", "this machine's authorities", ["signed by nobody", "TIDEMARK_REDIS__SSL_CA_FILE"]),
        ("expired", "tls", ["has expired", "renew it"]),
        ("other host", "tls", ["for another host", "127.0.0.1", "TIDEMARK_REDIS__URL"]),
        ("mutual", "no certificate", ["asks for a certificate", "SSL_CERTIFICATE_FILE", "SSL_KEY_FILE"]),
        ("mutual", "certificate of a stranger", ["asks for a certificate that it trusts", "SSL_CERTIFICATE_FILE"]),
        ("mutual", "wrong password", ["refused the user or password", "TIDEMARK_REDIS__PASSWORD"]),
        ("mutual", "no user", ["refused the user or password", "TIDEMARK_REDIS__USERNAME"]),
        ("mutual, without TLS", "nothing", ["speaks TLS at 127.0.0.1:", "begin TIDEMARK_REDIS__URL with rediss://"]),
        ("plain, with TLS", "tls", ["does not speak TLS at 127.0.0.1:", "begin TIDEMARK_REDIS__URL with redis://"]),
    ],
)
def test_what_is_set_up_wrong_is_refused_with_the_setting_and_the_remedy(
    world: World, server: str, settings: str, words: list[str]
) -> None:
    said = world.ask(server, settings)
    assert said.startswith("StoreRefused: Redis")
    assert "\n" not in said
    assert [word for word in words if word not in said] == [], said
    assert "no-no-no" not in said


def test_the_command_is_named_that_a_user_lacks_for_a_script(world: World) -> None:
    said = world.ask("mutual", "right", read=True)
    assert "the script read may not run HGETALL" in said
    assert "security.md" in said


def test_that_keys_are_out_of_reach_is_said(world: World) -> None:
    said = world.ask("mutual", "other keys", read=True)
    assert said.startswith("StoreRefused: Redis does not let this user do it: ")
    assert "keys" in said


@pytest.mark.parametrize("case", [("mutual", "wrong password"), ("mutual, without TLS", "nothing")])
def test_the_query_api_ends_with_3_and_the_sentence(world: World, case: tuple[str, str], tmp_path: Path) -> None:
    worker = Worker("api", 0, tmp_path, variables(world, *case) | {"TIDEMARK_API__PORT": "0"}, restarts=False)
    assert last_line_of_a_refused(worker, "no-no-no").startswith("Redis ")


def variables(world: World, server: str, settings: str) -> dict[str, str]:
    chosen = world.redis_settings(server, settings)
    return {f"TIDEMARK_REDIS__{name}".upper(): str(value) for name, value in chosen.items()}
