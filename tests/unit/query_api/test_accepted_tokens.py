from dataclasses import dataclass

import pytest

from query_api.accepted_tokens import TOKENS_REMEMBERED, AcceptedTokens
from query_api.verifying import TokenVerifier
from services.identifiers import OrganizationId, UserId
from services.token_keys import VerificationKey
from services.tokens import LEEWAY_S, BadToken, Claims, GoodToken, Role, check_token
from tests.support.signing import FromNow, hmac_token, payload

SECRET = "a secret for tests that is long enough"
KEYS = (VerificationKey(key=SECRET),)
GOOD = GoodToken(
    claims=Claims(subject=UserId("ada"), organization=OrganizationId("acme"), role=Role.ADMIN),
    kid=None,
    expires_s=1_000,
)


@dataclass
class Clock:
    now_ms: int = 0

    def __call__(self) -> int:
        return self.now_ms


def token(**changes: object) -> str:
    return hmac_token(SECRET.encode(), payload(**changes))


def verifier() -> TokenVerifier:
    return TokenVerifier(issuer="tidemark", audience="tidemark-api", fixed=KEYS, address=None)


def test_a_token_is_remembered_as_long_as_it_would_be_accepted() -> None:
    clock = Clock()
    accepted = AcceptedTokens(clock)
    accepted.put("text", GOOD, KEYS)
    clock.now_ms = (1_000 + LEEWAY_S) * 1000 - 1
    held = accepted.get("text")
    assert held is not None
    assert (held.good, held.keys) == (GOOD, KEYS)
    clock.now_ms += 1
    assert accepted.get("text") is None
    assert accepted.get("tex") is None


def test_no_more_tokens_are_remembered_than_there_is_room_for() -> None:
    accepted = AcceptedTokens(Clock())
    texts = [str(number) for number in range(TOKENS_REMEMBERED + 1)]
    for text in texts:
        accepted.put(text, GOOD, KEYS)
    assert accepted.get(texts[0]) is None
    assert all(accepted.get(text) is not None for text in texts[1:])


def test_when_a_token_ends_is_told_with_its_claims() -> None:
    text = token(exp=FromNow(60), iat=FromNow(0))
    good = check_token(text, KEYS, issuer="tidemark", audience="tidemark-api")
    assert good.claims.subject == "ada"
    again = check_token(token(exp=FromNow(3_660)), KEYS, issuer="tidemark", audience="tidemark-api")
    assert 3_590 <= again.expires_s - good.expires_s <= 3_610


async def test_a_token_that_comes_again_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    checks: list[str] = []

    def counting(text: str, keys: tuple[VerificationKey, ...], *, issuer: str, audience: str) -> GoodToken:
        checks.append(text)
        return check_token(text, keys, issuer=issuer, audience=audience)

    monkeypatch.setattr("query_api.verifying.check_token", counting)
    tokens, text = verifier(), token()
    assert [(await tokens.claims(text)).subject for _ in range(3)] == ["ada"] * 3
    assert len(checks) == 1
    assert (await tokens.claims(token(sub="bob"))).subject == "bob"
    assert len(checks) == 2


async def test_a_token_like_an_accepted_one_is_refused_each_time() -> None:
    tokens, text = verifier(), token()
    head, claims, signature = text.split(".")
    await tokens.claims(text)
    other = token(role="Member").split(".")[1]
    for forged in (f"{head}.{other}.{signature}", f"{head}.{claims}.", f"{head}.{claims}.{'A' + signature[1:]}x"):
        for _ in range(2):
            with pytest.raises(BadToken):
                await tokens.claims(forged)
