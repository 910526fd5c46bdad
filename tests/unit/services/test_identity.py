"""The identity hash: every part counts, no two divisions of the same characters meet, and the secret keys it."""

from hashlib import blake2b
from itertools import permutations

from hypothesis import example, given
from hypothesis import strategies as st

from services.identity import HASH_BYTES, fingerprint, identity_hasher

PARTS = st.tuples(*[st.text(st.sampled_from("ab1:") | st.characters(codec="utf-8"), max_size=6)] * 3)
HASH = identity_hasher("a secret")


@given(PARTS, PARTS)
@example(("ab", "c", "d"), ("a", "bc", "d"))
@example(("a", "b", "cd"), ("a", "bc", "d"))
@example(("1:a", "b", "c"), ("1", ":a", "bc"))
@example(("a", "1:b", "c"), ("a1", ":b", "c"))
def test_different_parts_have_different_hashes(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    assert (HASH(*one) == HASH(*other)) == (one == other)


def test_the_order_of_the_parts_counts() -> None:
    assert len({HASH(*parts) for parts in permutations(("org", "source", "id"))}) == 6


def test_the_same_id_of_two_producers_is_two_identities() -> None:
    assert HASH("acme", "svc/a", "1") != HASH("acme", "svc/b", "1")


def test_a_hash_has_eight_bytes() -> None:
    assert len(HASH("acme", "svc/a", "1")) == HASH_BYTES == 8


def test_the_secret_keys_the_hash() -> None:
    assert HASH("acme", "svc/a", "1") != identity_hasher("another secret")("acme", "svc/a", "1")
    assert HASH("acme", "svc/a", "1") == identity_hasher("a secret")("acme", "svc/a", "1")


def test_the_hash_is_what_it_was_in_every_release() -> None:
    # Another would count again all that the dedup index holds.
    assert identity_hasher("pinned")("acme", "svc/a", "1").hex() == "e312fc5677d76697"


def test_a_fingerprint_tells_secrets_apart_and_holds_nothing_of_them() -> None:
    assert fingerprint("a secret") == fingerprint("a secret")
    assert fingerprint("a secret") != fingerprint("another secret")
    assert len(fingerprint("")) == 16
    assert fingerprint("a secret") != blake2b(b"a secret", digest_size=8).hexdigest()


def test_a_secret_longer_than_a_hash_key_counts_to_its_last_character() -> None:
    assert fingerprint("x" * 200 + "a") != fingerprint("x" * 200 + "b")
