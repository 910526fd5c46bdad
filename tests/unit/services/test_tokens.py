import time
from typing import Any

import jwt
import pytest

from services.identifiers import OrganizationId, UserId
from services.token_keys import VerificationKey, parse_jwks, parse_keys
from services.tokens import (
    BadToken,
    Claims,
    NoKeyFits,
    NotAnOperator,
    Role,
    TokenKey,
    check_ops_token,
    check_token,
    issue_ops_token,
    issue_token,
)
from tests.support.signing import (
    FromNow,
    ec_key,
    hmac_token,
    jwk,
    jwks,
    payload,
    pem,
    rsa_key,
    token,
    unsigned_token,
)

KEY = TokenKey(secret="a secret for tests that is long enough", issuer="tidemark", audience="tidemark-api")
SECRET = VerificationKey(key=KEY.secret)
RSA = parse_keys(pem(rsa_key()))
CLAIMS = Claims(subject=UserId("ada"), organization=OrganizationId("acme"), role=Role.MANAGER)


def now_s() -> int:
    return int(time.time())


def verified(text: str, *keys: VerificationKey) -> Claims:
    return check_token(text, keys or [SECRET], issuer=KEY.issuer, audience=KEY.audience).claims


def signed(claims: dict[str, Any], headers: dict[str, Any] | None = None) -> str:
    return hmac_token(KEY.secret.encode(), claims, headers)


def refusal(text: str, *keys: VerificationKey) -> BadToken:
    with pytest.raises(BadToken) as refused:
        verified(text, *keys)
    return refused.value


def test_an_issued_token_gives_its_claims_back() -> None:
    assert verified(issue_token(CLAIMS, KEY, issued_s=now_s(), lifetime_s=60)) == CLAIMS


def operator(text: str, *keys: VerificationKey) -> UserId:
    return check_ops_token(text, keys or [SECRET], issuer=KEY.issuer, audience=KEY.audience)


def test_an_operators_token_opens_the_operators_routes_and_no_users() -> None:
    text = issue_ops_token(UserId("ada"), KEY, issued_s=now_s(), lifetime_s=60)
    assert operator(text) == "ada"
    assert "has the scope ops" in str(refusal(text))


def test_a_users_token_opens_none_of_the_operators_routes() -> None:
    with pytest.raises(NotAnOperator, match="lacks the scope ops"):
        operator(issue_token(CLAIMS, KEY, issued_s=now_s(), lifetime_s=60))


@pytest.mark.parametrize("scope", ["ops", "openid ops", "ops profile"])
def test_a_token_is_an_operators_or_a_users_but_never_both(scope: str) -> None:
    text = signed(payload(scope=scope))
    operator(text)
    refusal(text)


@pytest.mark.parametrize("scope", ["", "operations", "OPS", "openid", 7, ["ops"], None])
def test_another_scope_is_not_that_of_operators(scope: Any) -> None:
    text = signed(payload(scope=scope))
    verified(text)
    with pytest.raises(NotAnOperator):
        operator(text)


@pytest.mark.parametrize("changes", [{"iss": "somebody"}, {"aud": "another"}, {"exp": FromNow(-40)}, {"sub": ""}])
def test_an_operators_token_is_checked_as_every_other(changes: dict[str, Any]) -> None:
    with pytest.raises(BadToken):
        operator(signed(payload(scope="ops", **changes)))
    with pytest.raises(NoKeyFits):
        operator(hmac_token(b"another secret that is long enough", payload(scope="ops")))
    with pytest.raises(BadToken):
        operator(unsigned_token(payload(scope="ops")))


@pytest.mark.parametrize("name", ["iss", "aud", "exp", "sub", "organizationid", "role"])
def test_a_token_without_a_required_claim_is_refused(name: str) -> None:
    verified(signed(payload()))
    assert str(refusal(signed(payload(**{name: None})))) == f"the token lacks the claim {name}"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "somebody"},
        {"aud": "another-api"},
        {"exp": FromNow(-40)},
        {"nbf": FromNow(100)},
        {"iat": FromNow(100)},
        {"exp": "soon"},
        {"sub": 7},
        {"sub": ""},
        {"sub": "a\nb"},
        {"sub": "\ud800"},
        {"organizationid": ""},
        {"organizationid": "a/b"},
        {"organizationid": "\ud800"},
        {"organizationid": ["acme"]},
        {"role": "Owner"},
        {"role": ["Admin"]},
        {"role": {"is": "Admin"}},
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(changes: dict[str, Any]) -> None:
    refusal(signed(payload(**changes)))


def test_clocks_may_differ_by_half_a_minute() -> None:
    assert verified(signed(payload(exp=FromNow(-20)))).role is Role.ADMIN


@pytest.mark.parametrize(
    "headers",
    [
        {"alg": "none"},
        {"alg": "None"},
        {"alg": "HS512"},
        {"alg": "RS256"},
        {"alg": "ES256"},
        {"alg": ["HS256"]},
        {"alg": None},
        {"crit": ["b64"], "b64": False},
        {"crit": ["b64"], "b64": True},
        {"crit": ["exp"]},
        {"crit": []},
        {"b64": False},
        {"kid": 7},
        {"kid": ["a"]},
    ],
)
def test_the_token_does_not_choose_how_it_is_checked(headers: dict[str, Any]) -> None:
    refusal(signed(payload(), headers))


@pytest.mark.parametrize(
    "headers",
    [
        {"jwk": jwk(rsa_key("of an attacker"))},
        {"jwk": None},
        {"jku": "https://attacker.example/jwks.json"},
        {"x5u": "https://attacker.example/chain.pem"},
    ],
)
def test_a_header_that_brings_a_key_along_is_refused_even_when_a_known_key_signed(headers: dict[str, Any]) -> None:
    assert "brings a key" in str(refusal(signed(payload(), headers)))
    assert "brings a key" in str(refusal(token(rsa_key(), headers=headers), *RSA))


def test_a_token_signed_by_the_key_that_it_embeds_is_refused() -> None:
    attacker = rsa_key("of an attacker")
    refusal(token(attacker, headers={"jwk": jwk(attacker)}), *RSA)


@pytest.mark.parametrize("key", [rsa_key(), ec_key()])
def test_a_public_key_checks_the_tokens_of_its_private_key_only(key: Any) -> None:
    (public,) = parse_keys(pem(key))
    assert verified(token(key), public).subject == "ada"
    for other in (rsa_key("other"), ec_key("other")):
        refusal(token(other), public)


@pytest.mark.parametrize("key", [rsa_key(), ec_key()])
def test_a_public_key_is_never_taken_for_a_secret(key: Any) -> None:
    written = pem(key)
    for secret in (written, written.strip(), written.replace(b"\n", b""), jwks(jwk(key))):
        for also in ((), (SECRET,)):
            refusal(hmac_token(secret, payload()), *parse_keys(written), *also)
            refusal(hmac_token(secret, payload(), {"kid": "k"}), *parse_jwks(jwks(jwk(key, "k"))), *also)


def test_an_rsa_signature_is_not_checked_by_another_rsa_algorithm_than_the_keys() -> None:
    for algorithm in ("RS384", "RS512", "PS256"):
        refusal(jwt.encode(payload(), rsa_key(), algorithm=algorithm), *RSA)


def test_an_unsigned_token_and_one_of_another_secret_are_refused() -> None:
    for keys in ([SECRET], RSA, [*RSA, SECRET]):
        refusal(unsigned_token(payload()), *keys)
    other = TokenKey(secret=KEY.secret[::-1], issuer=KEY.issuer, audience=KEY.audience)
    refusal(issue_token(CLAIMS, other, issued_s=now_s(), lifetime_s=60))


def test_each_key_checks_its_own_tokens_beside_others() -> None:
    keys = (SECRET, *RSA, *parse_keys(pem(ec_key())))
    for text in (signed(payload()), token(rsa_key()), token(ec_key())):
        assert verified(text, *keys).organization == "acme"


def test_a_name_in_the_header_picks_the_key() -> None:
    first, second = rsa_key("rsa-1"), rsa_key("rsa-2")
    keys = parse_jwks(jwks(jwk(first, "1"), jwk(second, "2")))
    verified(token(second, "2"), *keys)
    refused = refusal(token(second, "1"), *keys)
    assert isinstance(refused, NoKeyFits)
    assert refused.kid == "1"


def test_a_token_without_a_name_is_tried_with_every_key_and_a_key_without_a_name_on_every_token() -> None:
    keys = parse_jwks(jwks(jwk(rsa_key("rsa-1"), "1"), jwk(rsa_key("rsa-2"), "2")))
    verified(token(rsa_key("rsa-2")), *keys)
    verified(token(rsa_key(), "whatever"), *RSA)
    verified(signed(payload(), {"kid": "whatever"}))


@pytest.mark.parametrize(
    "kid",
    ["../../../../dev/null", "/etc/passwd", "' OR '1'='1", "http://127.0.0.1/", "1\x00", "", "%00", "é", "k" * 999],
)
def test_a_name_that_is_a_path_or_a_query_is_just_a_name_that_nobody_has(kid: str) -> None:
    keys = parse_jwks(jwks(jwk(rsa_key(), "1")))
    assert isinstance(refusal(token(rsa_key(), kid), *keys), NoKeyFits)
    for secret in (b"", b"\x00", b"\n"):
        assert isinstance(refusal(hmac_token(secret, payload(), {"kid": kid}), *keys), NoKeyFits)


def test_a_signature_that_fits_is_judged_by_its_claims_not_passed_on_to_other_keys() -> None:
    refused = refusal(token(rsa_key(), exp=FromNow(-100)), *RSA, SECRET)
    assert not isinstance(refused, NoKeyFits)
    assert "expired" in str(refused)


def test_without_any_key_no_token_is_accepted() -> None:
    for text in (signed(payload()), token(rsa_key()), unsigned_token(payload())):
        with pytest.raises(BadToken):
            check_token(text, [], issuer=KEY.issuer, audience=KEY.audience)


@pytest.mark.parametrize(
    "text", ["", ".", "..", "a.b.c", "€", "\ud800", "{}", "x" * 8_193, "=.=.=", "W10.e30.", f"{'W1tb' * 2_000}.e30.e30"]
)
def test_what_is_no_token_is_refused(text: str) -> None:
    refusal(text)
    refusal(text, *RSA)


@pytest.mark.parametrize("character", ["€", "\ud800", "é"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_token_with_characters_that_none_has_is_refused(place: int, character: str) -> None:
    parts = signed(payload()).split(".")
    parts[place] += character
    refusal(".".join(parts))


def test_a_short_secret_is_refused_and_a_long_one_never_printed() -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        TokenKey(secret="short", issuer="i", audience="a")
    assert KEY.secret not in repr(KEY)
    assert KEY.secret not in repr(SECRET)
