"""Remembers why connections to Kafka failed: the client tries them all and then says only that none could be made."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from aiokafka.errors import (
    IllegalSaslStateError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from services.tls import KAFKA, failures_in, why_refused

Failures = Mapping[str, BaseException]
"""`host:port` -> its last failure."""

HUNG_UP: Final = (
    "it hung up before it answered: it is starting or stopping, or wants another TIDEMARK_KAFKA__SECURITY_PROTOCOL"
)

_failures: ContextVar[dict[str, BaseException] | None] = ContextVar("failures", default=None)


@contextmanager
def noticing_failures() -> Iterator[Failures]:
    """Collect the failures of connections that are begun in the block."""
    before = _failures.get()
    found: dict[str, BaseException] = {}
    _failures.set(found)
    try:
        yield found
    finally:
        # Not by its token: the end of an asynchronous generator may come in another context.
        _failures.set(before)


def notice_failure(address: str, error: BaseException) -> None:
    """Remember a failure for whoever began the connection."""
    if (found := _failures.get()) is not None:
        found[address] = error


def why_not_let_in(failures: Failures) -> str | None:
    """Return why Kafka will not take these connections, and what to do; None when it may pass."""
    return next((why for error in failures.values() if (why := _why(error)) is not None), None)


def hung_up(failures: Failures) -> bool:
    """Whether a broker took a connection, and ended it without a word."""
    return any(
        isinstance(each, EOFError | ConnectionResetError) for error in failures.values() for each in failures_in(error)
    )


def _why(error: BaseException) -> str | None:
    for each in failures_in(error):
        match each:
            case SaslAuthenticationFailed():
                return (
                    f"Kafka refused the user or password ({_said(each)}): correct TIDEMARK_KAFKA__SASL_USERNAME and"
                    " TIDEMARK_KAFKA__SASL_PASSWORD (or the file that TIDEMARK_KAFKA__SASL_PASSWORD_FILE names)"
                )
            case UnsupportedSaslMechanismError():
                return f"Kafka takes another mechanism ({_said(each)}): set TIDEMARK_KAFKA__SASL_MECHANISM"
            case IllegalSaslStateError():
                return (
                    "Kafka asks for no user and password at TIDEMARK_KAFKA__BOOTSTRAP_SERVERS: set"
                    " TIDEMARK_KAFKA__SECURITY_PROTOCOL to PLAINTEXT or SSL, or name the listener that asks for them"
                )
            case _:
                pass
    return why_refused(error, KAFKA)


def _said(error: BaseException) -> str:
    said = error.args[0] if error.args else None
    return said if isinstance(said, str) and said else type(error).__name__
