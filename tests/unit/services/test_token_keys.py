import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from jwt.algorithms import RSAAlgorithm

from services.settings import ApiSettings
from services.settings_loading import WrongSettings, load_settings
from services.token_keys import KEY_BYTES_MAX, KEYS_MAX, NotKeys, fixed_keys, parse_jwks, parse_keys
from services.tokens import token_key
from tests.support.signing import ec_key, jwk, jwks, pem, rsa_key

OWN = "a secret of the deployment's own, long enough"
PRIVATE = rsa_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def settings(**api: Any) -> ApiSettings:
    return load_settings({"api": api}).api


def refused(text: bytes) -> str:
    with pytest.raises(NotKeys) as error:
        parse_keys(text)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(("key", "algorithm"), [(rsa_key(), "RS256"), (ec_key(), "ES256")])
def test_the_type_of_a_key_fixes_its_algorithm(key: Any, algorithm: str) -> None:
    for text in (pem(key), jwks(jwk(key)), b"\n" + pem(key), b" \n" + jwks(jwk(key))):
        assert [each.algorithm for each in parse_keys(text)] == [algorithm]


def test_a_public_key_in_the_older_form_is_read() -> None:
    text = rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.PKCS1)
    assert [each.algorithm for each in parse_keys(text)] == ["RS256"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "neither"),
        (b"garbage", "neither"),
        (b"\xff\xfe", "neither"),
        (b"[]", "neither"),
        (b'{"keys": {}}', "neither"),
        (b'{"kty": "RSA"}', "neither"),
        (b"[" * 100_000, "neither"),
        (b" " * (KEY_BYTES_MAX + 1), "more than"),
        (jwks(*[{}] * (KEYS_MAX + 1)), "more than"),
        (jwks(), "no public key"),
        (jwks({"kty": "oct", "k": "c2VjcmV0" * 8}), "no public key"),
        (PRIVATE, "private key"),
        (pem(rsa_key()) + pem(ec_key()), "more than one"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "can be read"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "can be read"),
        (pem(rsa_key("short", 1024)), "2048 bits"),
        (pem(ec_key("long", ec.SECP384R1)), "EC P-256"),
        (
            ed25519.Ed25519PrivateKey.generate()
            .public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "EC P-256",
        ),
    ],
)
def test_what_holds_no_key_says_why(text: bytes, words: str) -> None:
    assert words in refused(text)


@pytest.mark.parametrize(
    "other",
    [
        "a text",
        None,
        {},
        {"kty": "oct", "k": "c2VjcmV0" * 8},
        {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"},
        {"kty": ["RSA"]},
        {"kty": "RSA"},
        {"kty": "RSA", "n": 1, "e": 2},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "RSA", "n": "%", "e": "AQAB"},
        {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
        jwk(ec_key(), crv="secp256k1"),
        jwk(ec_key("long", ec.SECP384R1)),
        jwk(rsa_key("short", 1024)),
        jwk(rsa_key(), alg="RS512"),
        jwk(rsa_key(), alg="HS256"),
        jwk(ec_key(), alg="RS256"),
        jwk(rsa_key(), use="enc"),
        jwk(rsa_key(), key_ops=["encrypt"]),
        jwk(rsa_key(), key_ops="verify"),
        jwk(rsa_key()) | {"kid": 7},
        json.loads(RSAAlgorithm.to_jwk(rsa_key())),
    ],
)
def test_a_key_of_a_set_that_cannot_be_used_is_passed_over(other: Any) -> None:
    (kept,) = parse_jwks(jwks(other, jwk(rsa_key("rsa-2"), "good", use="sig", alg="RS256"), other))
    assert kept.kid == "good"


def test_a_set_without_usable_keys_is_a_set_all_the_same() -> None:
    assert parse_jwks(jwks()) == ()


def test_a_set_of_an_issuer_with_members_that_nobody_knows_is_read() -> None:
    text = json.dumps({"keys": [jwk(ec_key(), "1", x5c=["MII"], x5t="t", extra={})], "issuer": "x"}).encode()
    assert [each.kid for each in parse_jwks(text)] == ["1"]


def test_a_set_that_holds_pem_in_a_member_is_a_set() -> None:
    assert [each.kid for each in parse_keys(jwks(jwk(rsa_key(), "1", pem=pem(rsa_key()).decode())))] == ["1"]


def algorithms(**api: Any) -> list[str]:
    return [key.algorithm for key in fixed_keys(settings(**api))]


def test_the_secret_that_everybody_knows_is_no_key_beside_others(tmp_path: Path) -> None:
    file = tmp_path / "public.pem"
    file.write_bytes(pem(rsa_key()))
    url = "https://identity.example/jwks.json"
    assert algorithms() == ["HS256"]
    assert algorithms(jwt_key_file=file) == ["RS256"]
    assert algorithms(jwks_url=url) == []
    assert algorithms(jwt_key_file=file, jwt_secret=OWN) == ["HS256", "RS256"]
    assert algorithms(jwks_url=url, jwt_secret=OWN) == ["HS256"]


def test_a_token_cannot_be_made_where_none_would_be_accepted() -> None:
    with pytest.raises(WrongSettings, match="TIDEMARK_API__JWT_SECRET"):
        token_key(settings(jwks_url="https://identity.example/jwks.json"))
    assert token_key(settings(jwks_url="https://identity.example/jwks.json", jwt_secret=OWN)).secret == OWN


@pytest.mark.parametrize("content", [None, b"", b"garbage", PRIVATE, b" " * (KEY_BYTES_MAX + 9)])
def test_a_wrong_file_is_one_sentence_that_names_the_setting(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    for path in (file, tmp_path):
        with pytest.raises(WrongSettings) as wrong:
            fixed_keys(settings(jwt_key_file=path))
        assert str(wrong.value).startswith(f"TIDEMARK_API__JWT_KEY_FILE: {path} ")
        assert "\n" not in str(wrong.value)
