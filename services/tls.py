"""TLS of the links to Kafka and Redis: contexts from the files of the settings, and failures in words."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.listeners import WrongListener

_UNTRUSTED: Final = frozenset({18, 19, 20, 21})
_EXPIRED: Final = 10
_NOT_YET_VALID: Final = 9
_OTHER_HOST: Final = frozenset({62, 64})
"""OpenSSL's X509_V_ERR_*: self-signed or of an unknown issuer; past or before its time; not of this name or address."""

_CERTIFICATE: Final = ("CERTIFICATE", "HANDSHAKE_FAILURE", "UNKNOWN_CA", "ACCESS_DENIED")
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST")
"""Parts of what OpenSSL calls an error: of an alert that the server sent, or of an answer that is no TLS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """How the settings of a link are called, for a person."""

    server: str
    group: str
    address: str
    plain: str

    def variable(self, name: str) -> str:
        return f"TIDEMARK_{self.group}__{name}".upper()


KAFKA: Final = Link(
    server="Kafka",
    group="kafka",
    address="bootstrap_servers",
    plain="set TIDEMARK_KAFKA__SECURITY_PROTOCOL to PLAINTEXT or SASL_PLAINTEXT, or name the port that speaks TLS",
)
REDIS: Final = Link(
    server="Redis",
    group="redis",
    address="url",
    plain="begin TIDEMARK_REDIS__URL with redis://, or name the port that speaks TLS",
)


def client_context(ca_file: Path | None, certificate_file: Path | None, key_file: Path | None) -> ssl.SSLContext:
    """Return a context that checks the server's certificate and name, and shows ours where there is one.

    Args:
        ca_file: who may have signed the server's certificate; this machine's authorities if None.
        key_file: of the certificate; in the same file if None.

    Raises:
        ValueError: a file cannot be used; the text names the setting and the file.
    """
    given = {"ssl_ca_file": ca_file, "ssl_certificate_file": certificate_file, "ssl_key_file": key_file}
    for name, file in given.items():
        if file is not None:
            _check_readable(name, file)
    if key_file is not None and certificate_file is None:
        raise ValueError("ssl_key_file is given without ssl_certificate_file: give both, or neither")
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError as error:
        raise ValueError(f"ssl_ca_file names {ca_file}, which holds no certificate in PEM: name one") from error
    if certificate_file is not None:
        _show(context, certificate_file, key_file)
    return context


def failures_in(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what led to it, the outermost first."""
    seen = set[int]()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def why_refused(error: BaseException, link: Link) -> str | None:
    """Return why a link failed for good, with what to do, in one sentence; None when it may pass, or is no TLS."""
    for each in failures_in(error):
        if isinstance(each, WrongListener):
            return str(each)
        if isinstance(each, ssl.SSLCertVerificationError):
            return _unverified(each, link)
        if isinstance(each, ssl.SSLError) and (found := _alert(each, link)) is not None:
            return found
    return None


def _unverified(error: ssl.SSLCertVerificationError, link: Link) -> str:
    said = error.verify_message or "it is not valid"
    if error.verify_code in _UNTRUSTED:
        return (
            f"{link.server}'s certificate is signed by nobody whom this client trusts ({said}):"
            f" name the certificate of its authority in {link.variable('ssl_ca_file')}"
        )
    if error.verify_code == _EXPIRED:
        return f"{link.server}'s certificate has expired: renew it at the server (or set this machine's clock right)"
    if error.verify_code == _NOT_YET_VALID:
        return f"{link.server}'s certificate is not valid yet: set the clocks of this machine and its maker right"
    if error.verify_code in _OTHER_HOST:
        return (
            f"{link.server}'s certificate is for another host ({said.rstrip('.')}): give a name that stands in it in"
            f" {link.variable(link.address)}, or have one made for this name"
        )
    return f"{link.server}'s certificate cannot be accepted ({said}): have it made anew"


def _alert(error: ssl.SSLError, link: Link) -> str | None:
    reason = error.reason or str(error)
    if any(each in reason for each in _NO_TLS):
        return f"{link.server} does not speak TLS at {link.variable(link.address)}: {link.plain}"
    if any(each in reason for each in _CERTIFICATE):
        # Of one that we did not show, servers say the same.
        return (
            f"{link.server} asks for a certificate that it trusts ({reason.lower().replace('_', ' ')}): name ours in"
            f" {link.variable('ssl_certificate_file')} and its key in {link.variable('ssl_key_file')}"
        )
    return None


def _check_readable(name: str, file: Path) -> None:
    try:
        with file.open("rb"):
            pass
    except OSError as error:
        raise ValueError(
            f"{name} names {file}, which cannot be read ({error.strerror}): put it there, readable for this user, or"
            " name another file"
        ) from error


def _show(context: ssl.SSLContext, certificate_file: Path, key_file: Path | None) -> None:
    def is_encrypted() -> str:
        # Else OpenSSL would ask at the terminal.
        raise ValueError(f"ssl_key_file names {key_file or certificate_file}, whose key is encrypted: decrypt it")

    try:
        context.load_cert_chain(certificate_file, key_file, password=is_encrypted)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ValueError(
                f"the key in {key_file or certificate_file} does not belong to ssl_certificate_file"
                f" {certificate_file}: name the key that it was made with in ssl_key_file"
            ) from error
        files = f"{certificate_file} and {key_file}" if key_file else f"{certificate_file}"
        raise ValueError(
            f"ssl_certificate_file and ssl_key_file: {files} hold no certificate with its key in PEM: name such"
        ) from error
