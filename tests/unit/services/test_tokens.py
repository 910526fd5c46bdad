import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import Any

import jwt
import pytest

from services.identifiers import OrganizationId, UserId
from services.tokens import BadToken, Claims, Role, TokenKey, issue_token, verify_token

KEY = TokenKey(secret="a secret for tests that is long enough", issuer="tidemark", audience="tidemark-api")
CLAIMS = Claims(subject=UserId("ada"), organization=OrganizationId("acme"), role=Role.MANAGER)


def now_s() -> int:
    return int(time.time())


@dataclass(frozen=True)
class FromNow:
    """A time in a claim, as seconds from when the test runs."""

    seconds: int


def payload(**changes: Any) -> dict[str, Any]:
    now = now_s()
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


def signed(claims: dict[str, Any], headers: dict[str, Any] | None = None) -> str:
    """Sign by hand, so that any header and claim can be had."""

    def part(members: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(members).encode()).rstrip(b"=").decode()

    text = f"{part({'alg': 'HS256', 'typ': 'JWT'} | (headers or {}))}.{part(claims)}"
    signature = hmac.new(KEY.secret.encode(), text.encode(), hashlib.sha256).digest()
    return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


def test_an_issued_token_gives_its_claims_back() -> None:
    assert verify_token(issue_token(CLAIMS, KEY, issued_s=now_s(), lifetime_s=60), KEY) == CLAIMS


@pytest.mark.parametrize("name", ["iss", "aud", "exp", "sub", "organizationid", "role"])
def test_a_token_without_a_required_claim_is_refused(name: str) -> None:
    verify_token(signed(payload()), KEY)
    with pytest.raises(BadToken):
        verify_token(signed(payload(**{name: None})), KEY)


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
        {"organizationid": ""},
        {"organizationid": ["acme"]},
        {"role": "Owner"},
        {"role": ["Admin"]},
        {"role": {"is": "Admin"}},
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BadToken):
        verify_token(signed(payload(**changes)), KEY)


def test_clocks_may_differ_by_half_a_minute() -> None:
    assert verify_token(signed(payload(exp=FromNow(-20))), KEY).role is Role.ADMIN


@pytest.mark.parametrize(
    "headers",
    [{"alg": "none"}, {"alg": "HS512"}, {"alg": "RS256"}, {"alg": ["HS256"]}, {"crit": ["b64"], "b64": False}],
)
def test_the_token_does_not_choose_how_it_is_checked(headers: dict[str, Any]) -> None:
    with pytest.raises(BadToken):
        verify_token(signed(payload(), headers), KEY)


def test_an_unsigned_token_and_one_of_another_secret_are_refused() -> None:
    with pytest.raises(BadToken):
        verify_token(jwt.encode(payload(), "", algorithm="none"), KEY)
    other = TokenKey(secret=KEY.secret[::-1], issuer=KEY.issuer, audience=KEY.audience)
    with pytest.raises(BadToken):
        verify_token(issue_token(CLAIMS, other, issued_s=now_s(), lifetime_s=60), KEY)


@pytest.mark.parametrize("text", ["", ".", "..", "a.b.c", "€", "\ud800", "{}", "x" * 8_193])
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(BadToken):
        verify_token(text, KEY)


def test_a_short_secret_is_refused_and_a_long_one_never_printed() -> None:
    with pytest.raises(ValueError, match="at least 32 bytes"):
        TokenKey(secret="short", issuer="i", audience="a")
    assert KEY.secret not in repr(KEY)
