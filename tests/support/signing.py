"""Keys of an issuer, and tokens signed with them: well-formed by default, and whatever a test wants otherwise."""

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class FromNow:
    """A time in a claim, as seconds from when the test runs."""

    seconds: int


@cache
def rsa_key(name: str = "rsa-1", bits: int = 2048) -> rsa.RSAPrivateKey:
    """The key of this name; the same one for the whole session, since to make one takes long."""
    return rsa.generate_private_key(public_exponent=65_537, key_size=bits)


@cache
def ec_key(name: str = "ec-1", curve: type[ec.EllipticCurve] = ec.SECP256R1) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve())


def pem(key: PrivateKey) -> bytes:
    """The public half."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def jwk(key: PrivateKey, kid: str | None = None, **changes: Any) -> dict[str, Any]:
    """The public half; a change to None takes a member away."""
    if isinstance(key, rsa.RSAPrivateKey):
        members: dict[str, Any] = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        members = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    return {name: value for name, value in (members | {"kid": kid} | changes).items() if value is not None}


def jwks(*keys: Any) -> bytes:
    return json.dumps({"keys": keys}).encode()


def payload(**changes: Any) -> dict[str, Any]:
    """The claims of a valid token of acme's administrator ada; a change to None takes a claim away."""
    now = int(time.time())
    claims = {
        "iss": "tidemark",
        "aud": "tidemark-api",
        "iat": now,
        "exp": now + 60,
        "sub": "ada",
        "organizationid": "acme",
        "role": "Admin",
    }
    changed = {name: now + each.seconds if isinstance(each, FromNow) else each for name, each in changes.items()}
    return {name: value for name, value in (claims | changed).items() if value is not None}


def token(key: PrivateKey, kid: str | None = None, headers: dict[str, Any] | None = None, **changes: Any) -> str:
    """A token signed with the algorithm of the key's type."""
    algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
    named = ({} if kid is None else {"kid": kid}) | (headers or {})
    return jwt.encode(payload(**changes), key, algorithm=algorithm, headers=named)


def hmac_token(secret: bytes, claims: dict[str, Any], headers: dict[str, Any] | None = None) -> str:
    """Sign by hand, so that any header, claim and secret can be had."""
    text = f"{_part({'alg': 'HS256', 'typ': 'JWT'} | (headers or {}))}.{_part(claims)}"
    signature = hmac.new(secret, text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def unsigned_token(claims: dict[str, Any]) -> str:
    return f"{_part({'alg': 'none', 'typ': 'JWT'})}.{_part(claims)}."


def _part(members: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(members).encode()).rstrip(b"=").decode()
