"""The keys that tokens are checked with: the secret, a public key in PEM, a set of public keys (JWKS, RFC 7517).

A key's type fixes its algorithm (RFC 8725, section 3.1), so that a token cannot have an RSA key taken for a secret.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeGuard, assert_never

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from services.settings import DEVELOPMENT_SECRET, ApiSettings
from services.settings_loading import WrongSettings

KEY_BYTES_MAX: Final = 131_072
"""Of a file or an answer with keys. Sets with certificate chains of large identity providers have some 20,000."""

KEYS_MAX: Final = 64
"""Of one set; a token that names no key may have to be tried with each."""

RSA_BITS_MIN: Final = 2_048
"""RFC 7518, section 3.3."""

FILE_VARIABLE: Final = "TIDEMARK_API__JWT_KEY_FILE"

Algorithm = Literal["HS256", "RS256", "ES256"]


class NotKeys(ValueError):
    """The bytes hold no key that could check a token; the text says why, and goes on from "it"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationKey:
    """A secret of HS256 (text), or a public key; `kid` is its name in a set, None where it has none."""

    key: str | RSAPublicKey | EllipticCurvePublicKey = field(repr=False)
    kid: str | None = None

    @property
    def algorithm(self) -> Algorithm:
        match self.key:
            case str():
                return "HS256"
            case RSAPublicKey():
                return "RS256"
            case EllipticCurvePublicKey():
                return "ES256"
            case _:
                assert_never(self.key)


def accepts_secret(settings: ApiSettings) -> bool:
    """Whether HS256 tokens are accepted: not under the secret that everybody knows beside a deployment's own keys."""
    others = settings.jwt_key_file is not None or settings.jwks_url is not None
    return not others or settings.jwt_secret.get_secret_value() != DEVELOPMENT_SECRET


def fixed_keys(settings: ApiSettings) -> tuple[VerificationKey, ...]:
    """Return the keys that stay the same while the process lives: the secret, and what `jwt_key_file` holds.

    Raises:
        WrongSettings: the file cannot be used.
    """
    secret = [VerificationKey(key=settings.jwt_secret.get_secret_value())] if accepts_secret(settings) else []
    in_file = () if settings.jwt_key_file is None else _keys_in_file(settings.jwt_key_file)
    return (*secret, *in_file)


def parse_keys(text: bytes) -> tuple[VerificationKey, ...]:
    """Return the keys of a PEM file or a JWKS, told by the content; at least one.

    Raises:
        NotKeys: there is none.
    """
    if b"-----BEGIN" in text and not text.lstrip().startswith(b"{"):
        return (_pem_key(text),)
    if not (keys := parse_jwks(text)):
        raise NotKeys(
            f"holds no public key that is RSA of {RSA_BITS_MIN} bits or more, or EC P-256, and for signatures"
        )
    return keys


def parse_jwks(text: bytes) -> tuple[VerificationKey, ...]:
    """Return the usable keys of a JWKS; those of another type, size or purpose are passed over.

    Raises:
        NotKeys: it is no JWKS, or a very large one.
    """
    if len(text) > KEY_BYTES_MAX:
        raise NotKeys(f"has more than {KEY_BYTES_MAX} bytes")
    try:
        found = msgspec.json.decode(text, type=_Jwks).keys
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise NotKeys("is neither a public key in PEM nor a JWKS, a JSON object with the member keys") from None
    if len(found) > KEYS_MAX:
        raise NotKeys(f"has more than {KEYS_MAX} keys")
    return tuple(_usable(found))


class _Jwks(msgspec.Struct):
    keys: list[Any]


def _keys_in_file(path: Path) -> tuple[VerificationKey, ...]:
    try:
        with path.open("rb") as file:
            return parse_keys(file.read(KEY_BYTES_MAX + 1))
    except OSError as error:
        raise WrongSettings(f"{FILE_VARIABLE}: {path} cannot be read: {error.strerror}") from error
    except NotKeys as error:
        raise WrongSettings(f"{FILE_VARIABLE}: {path} {error}") from error


def _pem_key(text: bytes) -> VerificationKey:
    if b"PRIVATE KEY-----" in text:
        raise NotKeys("holds a private key; give the public one, as `openssl pkey -pubout` writes it")
    if text.count(b"-----BEGIN") > 1:
        raise NotKeys("holds more than one PEM block; give several keys as a JWKS")
    try:
        key = load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm):
        raise NotKeys("holds no public key in PEM that can be read (BEGIN PUBLIC KEY)") from None
    if not _fits(key):
        raise NotKeys(f"holds another key than RSA of {RSA_BITS_MIN} bits or more, or EC P-256")
    return VerificationKey(key=key)


def _fits(key: object) -> TypeGuard[RSAPublicKey | EllipticCurvePublicKey]:
    match key:
        case RSAPublicKey():
            return key.key_size >= RSA_BITS_MIN
        case EllipticCurvePublicKey():
            return isinstance(key.curve, SECP256R1)
        case _:
            return False


def _usable(found: list[Any]) -> Iterator[VerificationKey]:
    for jwk in found:
        if isinstance(jwk, dict) and (key := _jwk_key(jwk)) is not None:
            yield key


def _jwk_key(jwk: dict[str, Any]) -> VerificationKey | None:
    """Return a JWK as a key; None when it is private, malformed, of another type, or not for signatures."""
    read = {"RSA": RSAAlgorithm.from_jwk, "EC": ECAlgorithm.from_jwk}.get(str(jwk.get("kty")))
    kid = jwk.get("kid")
    if read is None or "d" in jwk or not isinstance(kid, str | None) or not _for_signatures(jwk):
        return None
    try:
        key = read(jwk)
    except (jwt.InvalidKeyError, UnsupportedAlgorithm, ValueError, TypeError):
        return None
    if not _fits(key):
        return None
    usable = VerificationKey(key=key, kid=kid)
    return usable if jwk.get("alg", usable.algorithm) == usable.algorithm else None


def _for_signatures(jwk: dict[str, Any]) -> bool:
    operations = jwk.get("key_ops", ["verify"])
    return jwk.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
