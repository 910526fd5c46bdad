import hashlib
import re

from services.api_keys import ApiKey, hash_of, make_key
from services.identifiers import OrganizationId
from services.tokens import Role


def test_keys_are_all_different_and_name_their_id() -> None:
    keys = [make_key() for _ in range(200)]
    assert len({key.text for key in keys}) == len({key.id for key in keys}) == 200
    for key in keys:
        assert re.fullmatch(f"tmk_{key.id}_[0-9a-f]{{48}}", key.text)


def test_a_key_is_kept_under_the_sha256_of_all_of_it() -> None:
    key = make_key()
    assert key.hash == hash_of(key.text) == hashlib.sha256(key.text.encode()).hexdigest()


def test_what_does_not_look_like_a_key_has_no_hash() -> None:
    text = make_key().text
    for other in (
        "",
        text[:-1],
        f"{text}0",
        f" {text}",
        f"{text}\n",
        text.upper(),
        text.replace("tmk", "sk"),
        "٣" * 63,
    ):
        assert hash_of(other) is None


def test_a_key_is_not_shown_by_what_carries_it() -> None:
    key = make_key()
    assert key.text not in repr(key)


def test_a_key_acts_as_an_administrator_of_its_organization_until_it_expires() -> None:
    new = make_key()
    key = ApiKey(id=new.id, organization=OrganizationId("acme"), name="ci", created_ms=5, expires_ms=10)
    claims = key.claims()
    assert (claims.organization, claims.role, claims.subject) == ("acme", Role.ADMIN, f"api-key:{new.id}")
    assert [key.is_live(now_ms) for now_ms in (9, 10, 11)] == [True, False, False]
