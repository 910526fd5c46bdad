"""Kafka clients built from the settings, and the one place that translates their errors."""

import asyncio
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
)
from aiokafka.producer.message_accumulator import BatchBuilder

from services.kafka_connection import notice_hang_ups
from services.kafka_failures import HUNG_UP, hung_up, noticing_failures, why_not_let_in
from services.settings import KafkaSettings
from services.tls import client_context

PRODUCER_BATCH_BYTES = 1_000_000
PRODUCER_REQUEST_BYTES = 2_200_000
"""Above the 2 MiB of a dead letter: the largest source record and our headers."""

_UNAUTHORIZED = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)

_ZSTD = 4
"""In the attributes of a record batch."""


class KafkaUnavailable(Exception):
    """Kafka is away or busy now: try again later."""


class KafkaRefused(Exception):
    """Kafka holds or answers what Tidemark cannot go on with; the message names the remedy."""


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn a client error into `KafkaUnavailable` or `KafkaRefused`, with what was being done."""
    with noticing_failures() as failures:
        try:
            yield
        except (KafkaConnectionError, KafkaTimeoutError, RequestTimedOutError) as error:
            if (why := why_not_let_in(failures)) is not None:
                raise KafkaRefused(f"{doing}: {why}") from error
            hint = f" ({HUNG_UP})" if hung_up(failures) else ""
            raise KafkaUnavailable(f"{doing}: {error}{hint}") from error
        except _UNAUTHORIZED as error:
            raise KafkaRefused(
                f"{doing}: Kafka does not let this user do it ({error}): give it what deploy/docs/security.md lists"
            ) from error
        except KafkaError as error:
            kind = KafkaUnavailable if error.retriable else KafkaRefused
            raise kind(f"{doing}: {error}") from error


def client_options(settings: KafkaSettings) -> dict[str, Any]:
    """Return what every client of this deployment is built with."""
    notice_hang_ups()
    options: dict[str, Any] = {
        "bootstrap_servers": settings.bootstrap_servers,
        "security_protocol": settings.security_protocol,
        "request_timeout_ms": int(settings.request_timeout * 1000),
    }
    if settings.security_protocol.startswith("SASL"):
        password = settings.sasl_password
        options |= {
            "sasl_mechanism": settings.sasl_mechanism,
            "sasl_plain_username": settings.sasl_username,
            "sasl_plain_password": password.get_secret_value() if password else None,
        }
    if settings.security_protocol.endswith("SSL"):
        options["ssl_context"] = ssl_context(settings)
    return options


def ssl_context(settings: KafkaSettings) -> ssl.SSLContext:
    return client_context(settings.ssl_ca_file, settings.ssl_certificate_file, settings.ssl_key_file)


def client_name(group: str) -> str:
    """Return the name by which Kafka knows this process as a member of a group."""
    return f"{group}-{socket.gethostname()}-{os.getpid()}"


def make_consumer(
    settings: KafkaSettings, *topics: str, group_id: str | None = None, **options: Any
) -> AIOKafkaConsumer:
    """Return a consumer, not started; it never commits by itself and begins at the earliest record."""
    defaults: dict[str, Any] = {"enable_auto_commit": False, "auto_offset_reset": "earliest"}
    return AIOKafkaConsumer(*topics, group_id=group_id, **client_options(settings), **(defaults | options))


def make_producer(settings: KafkaSettings, **options: Any) -> AIOKafkaProducer:
    """Return a producer, not started: `acks=all`, idempotent unless the settings say otherwise."""
    defaults: dict[str, Any] = {
        "acks": "all",
        "enable_idempotence": settings.idempotence,
        "max_batch_size": PRODUCER_BATCH_BYTES,
        "max_request_size": PRODUCER_REQUEST_BYTES,
    }
    return AIOKafkaProducer(**client_options(settings), **(defaults | options))


def compressing_batch() -> BatchBuilder:
    """Return a batch that is compressed by zstd whatever the producer's setting, for one record of any size."""
    return BatchBuilder(PRODUCER_BATCH_BYTES, _ZSTD)


def make_admin(settings: KafkaSettings) -> AIOKafkaAdminClient:
    return AIOKafkaAdminClient(**client_options(settings))


async def abandon_producer(producer: AIOKafkaProducer) -> None:
    """Stop a producer without waiting for what is not acknowledged.

    With idempotence on, aiokafka sends a batch again for ever, and its `stop` waits for that: a broker that stays away
    would hold up the end of the process.
    """
    sending = producer._sender.sender_task
    if sending is not None:
        # It ends with the attempts that are on the way, which end by the request timeout.
        sending.cancel()
        await asyncio.wait([sending])
    await producer.stop()
