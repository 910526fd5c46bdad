"""What a client is told whose link to Kafka is set up wrong: one sentence, with the setting and the remedy."""

import asyncio
import gc
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services import topics
from services.kafka import KafkaRefused, KafkaUnavailable
from services.settings_loading import load_settings
from tests.scaleout.refused_worker import last_line_of_a_refused
from tests.support.certificates import Authority
from tests.support.kafka_listeners import (
    EXPIRED,
    MUTUAL,
    OTHER_HOST,
    PASSWORD,
    PLAIN,
    SASL,
    SASL_TLS,
    TLS,
    USER,
    ManyListeners,
)
from tests.support.worker import Worker

pytestmark = [
    pytest.mark.guarantee,
    pytest.mark.timeout(90),
    # The client leaves TLS connections to the end of the event loop.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

WITHIN_S = 0.5


class World:
    """A broker with listeners of each kind, and files of certificates."""

    def __init__(self, directory: Path) -> None:
        self.authority = Authority(directory / "good")
        stranger = Authority(directory / "stranger", "Strangers")
        self.kafka = ManyListeners(Path(tempfile.mkdtemp(prefix="tidemark-kafka-")), self.authority)
        self.kafka._owns_directory = True
        ours, theirs = self.authority.certificate("client"), stranger.certificate("client")
        tls = {"security_protocol": "SSL", "ssl_ca_file": self.authority.file}
        sasl = {"sasl_mechanism": "PLAIN", "sasl_username": USER, "sasl_password": PASSWORD}
        self.settings: dict[str, dict[str, Any]] = {
            "nothing": {},
            "tls": tls,
            "tls, another authority": tls | {"ssl_ca_file": stranger.file},
            "tls, this machine's authorities": tls | {"ssl_ca_file": None},
            "mutual": tls | {"ssl_certificate_file": ours.certificate, "ssl_key_file": ours.key},
            "mutual, both in one file": tls | {"ssl_certificate_file": ours.both},
            "mutual, of a stranger": tls | {"ssl_certificate_file": theirs.both},
            "user": sasl | {"security_protocol": "SASL_PLAINTEXT"},
            "user, tls": sasl | tls | {"security_protocol": "SASL_SSL"},
            "user, tls, wrong password": sasl | tls | {"security_protocol": "SASL_SSL", "sasl_password": "no-no-no"},
            "user, tls, scram": sasl | tls | {"security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512"},
        }

    def kafka_settings(self, listener: str, settings: str) -> dict[str, Any]:
        return {"bootstrap_servers": self.kafka.address(listener), "request_timeout": "5s", **self.settings[settings]}

    def look(self, listener: str, settings: str) -> str:
        """Return what a look at the topics ends with, empty where it succeeds."""
        loaded = load_settings({"kafka": self.kafka_settings(listener, settings)})
        try:
            asyncio.run(topics.check(loaded, within_s=WITHIN_S))
        except (KafkaRefused, KafkaUnavailable) as error:
            return f"{type(error).__name__}: {error}"
        return ""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("links"))
    try:
        made.kafka.start()
        yield made
    finally:
        made.kafka.close()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    yield
    gc.collect()  # what is left behind shows here, and not in another test


@pytest.mark.parametrize(
    ("listener", "settings"),
    [
        (PLAIN, "nothing"),
        (TLS, "tls"),
        (TLS, "mutual"),
        (MUTUAL, "mutual"),
        (MUTUAL, "mutual, both in one file"),
        (SASL, "user"),
        (SASL_TLS, "user, tls"),
    ],
)
def test_what_is_set_up_right_is_let_in(world: World, listener: str, settings: str) -> None:
    assert world.look(listener, settings) == ""


@pytest.mark.parametrize(
    ("listener", "settings", "words"),
    [
        (TLS, "tls, another authority", ["signed by nobody", "TIDEMARK_KAFKA__SSL_CA_FILE"]),
        (TLS, "tls, this machine's authorities", ["signed by nobody", "TIDEMARK_KAFKA__SSL_CA_FILE"]),
        (EXPIRED, "tls", ["has expired", "renew it"]),
        (OTHER_HOST, "tls", ["for another host", "127.0.0.1", "TIDEMARK_KAFKA__BOOTSTRAP_SERVERS"]),
        (MUTUAL, "tls", ["asks for a certificate", "SSL_CERTIFICATE_FILE", "SSL_KEY_FILE"]),
        (MUTUAL, "mutual, of a stranger", ["asks for a certificate that it trusts", "SSL_CERTIFICATE_FILE"]),
        (SASL_TLS, "user, tls, wrong password", ["refused the user or password", "TIDEMARK_KAFKA__SASL_PASSWORD"]),
        (SASL_TLS, "user, tls, scram", ["another mechanism", "TIDEMARK_KAFKA__SASL_MECHANISM"]),
        (TLS, "nothing", ["speaks TLS at 127.0.0.1:", "TIDEMARK_KAFKA__SECURITY_PROTOCOL to SSL or SASL_SSL"]),
        (SASL_TLS, "user", ["speaks TLS at 127.0.0.1:", "TIDEMARK_KAFKA__SECURITY_PROTOCOL"]),
        (PLAIN, "tls", ["does not speak TLS at 127.0.0.1:", "SECURITY_PROTOCOL to PLAINTEXT"]),
        (SASL, "user, tls", ["does not speak TLS at 127.0.0.1:", "SASL_PLAINTEXT"]),
        (PLAIN, "user", ["asks for no user and password", "SECURITY_PROTOCOL to PLAINTEXT"]),
    ],
)
def test_what_is_set_up_wrong_is_refused_at_once_with_the_setting_and_the_remedy(
    world: World, listener: str, settings: str, words: list[str]
) -> None:
    said = world.look(listener, settings)
    assert said.startswith("KafkaRefused: looking at the topics: Kafka")
    assert "\n" not in said
    assert [word for word in words if word not in said] == [], said
    assert "no-no-no" not in said


@pytest.mark.parametrize(("listener", "settings"), [(SASL, "nothing"), (SASL_TLS, "tls")])
def test_a_broker_that_hangs_up_is_waited_for_and_what_it_may_want_is_said(
    world: World, listener: str, settings: str
) -> None:
    said = world.look(listener, settings)
    assert said.startswith("KafkaUnavailable: ")
    assert "wants another TIDEMARK_KAFKA__SECURITY_PROTOCOL" in said


@pytest.mark.parametrize("role", ["ingest", "aggregator"])
def test_a_role_and_a_command_end_with_3_and_the_sentence(
    world: World, role: str, tmp_path: Path, redis_url: str
) -> None:
    chosen = world.kafka_settings(SASL_TLS, "user, tls, wrong password")
    variables = {f"TIDEMARK_KAFKA__{name}".upper(): str(value) for name, value in chosen.items()}
    worker = Worker(
        role,
        0,
        tmp_path,
        variables | {"TIDEMARK_REDIS__URL": redis_url, "TIDEMARK_AGGREGATOR__SESSION_TIMEOUT": "5s"},
        restarts=False,
    )
    said = last_line_of_a_refused(worker, "no-no-no")
    assert said.startswith("looking at the topics: Kafka refused the user or password")
