import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from query_api.scim_filter import CHARACTERS_MAX, NESTING_MAX, BadFilter, Candidate, parse_filter

ACME_EU = Candidate(id="o-1", name="Acme Europe", parent="o-0")
ROOTLESS = Candidate(id="o-2", name="Rival", parent=None)


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ('name eq "Acme Europe"', True),
        ('name eq "acme europe"', True),
        ('name eq "Acme"', False),
        ('name co "EURO"', True),
        ('name sw "acme"', True),
        ('name sw "europe"', False),
        ('id eq "o-1"', True),
        ('id eq "O-1"', False),
        ('id sw "o-"', True),
        ('parent_org_id eq "o-0"', True),
        ('parent_org_id co "-"', True),
        ('NAME EQ "acme europe"', True),
        ('  name   eq   "acme europe"  ', True),
        ('name eq"acme europe"', True),
        ('id eq "o-1" and name sw "Acme"', True),
        ('id eq "o-1" and name sw "Rival"', False),
        ('id eq "o-2" or name sw "Acme"', True),
        ('id eq "o-1" or id eq "x" and id eq "y"', True),
        ('(id eq "o-1" or id eq "x") and id eq "y"', False),
        ('not (id eq "o-1")', False),
        ('not(id eq "x") and id eq "o-1"', True),
        ('not (id eq "x" or id eq "o-1")', False),
        ('((((id eq "o-1"))))', True),
        ('name eq "\\u0041cme Europe"', True),
    ],
)
def test_a_filter_means_what_the_rfc_says(text: str, met: bool) -> None:
    assert parse_filter(text)(ACME_EU) is met


def test_who_has_no_parent_meets_no_condition_on_it() -> None:
    assert parse_filter('parent_org_id co ""')(ACME_EU)
    assert not parse_filter('parent_org_id co ""')(ROOTLESS)
    assert parse_filter('not (parent_org_id co "")')(ROOTLESS)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected an attribute (name, id, parent_org_id), found the end"),
        ("name", "expected an operator (eq, co, sw), found the end"),
        ("name eq", "expected a JSON text in double quotes, found the end"),
        ("name eq acme", "expected a JSON text in double quotes, found acme at character 9"),
        ("name eq 5", "what begins at character 9 is neither a word"),
        ('name eq "acme', "what begins at character 9 is neither a word"),
        ("name eq 'acme'", "what begins at character 9"),
        ('name eq "\\x"', 'expected a JSON text in double quotes, found "\\x" at character 9'),
        ('tier eq "x"', "expected an attribute (name, id, parent_org_id), found tier at character 1"),
        ('urn:x:name eq "x"', "found urn:x:name at character 1"),
        ('name gt "x"', "expected an operator (eq, co, sw), found gt at character 6"),
        ("name pr", "found pr at character 6"),
        ('name eq "x" name', "expected and, or or the end, found name at character 13"),
        ('name eq "x" and', "expected an attribute (name, id, parent_org_id), found the end"),
        ('and name eq "x"', "found and at character 1"),
        ('(name eq "x"', "expected ), found the end"),
        ('name eq "x")', "expected and, or or the end, found ) at character 12"),
        ('not name eq "x"', "expected (, found name at character 5"),
        ("()", "found ) at character 2"),
        ('name[eq "x"]', "what begins at character 5"),
        ('name eq "x"\tand', "what begins at character 12"),
    ],
)
def test_what_is_no_filter_is_refused_with_the_place(text: str, why: str) -> None:
    with pytest.raises(BadFilter, match=re.escape(why)):
        parse_filter(text)


def test_length_and_nesting_are_bounded() -> None:
    deepest = "(" * NESTING_MAX + 'id eq "o-1"' + ")" * NESTING_MAX
    assert parse_filter(deepest)(ACME_EU)
    with pytest.raises(BadFilter, match="nested deeper than 20"):
        parse_filter(f"({deepest})")
    with pytest.raises(BadFilter, match="nested deeper than 20"):
        parse_filter("not (" * 150)
    with pytest.raises(BadFilter, match="at most 1000 characters"):
        parse_filter(f'id eq "{"x" * CHARACTERS_MAX}"')


names = st.text(max_size=8)
terms = st.builds(
    lambda attribute, operator, value: f"{attribute} {operator} {json.dumps(value)}",
    st.sampled_from(["name", "id", "parent_org_id"]),
    st.sampled_from(["eq", "co", "sw"]),
    names,
)
filters = st.recursive(
    terms,
    lambda inner: st.one_of(
        st.builds(lambda one, two: f"({one}) and ({two})", inner, inner),
        st.builds(lambda one, two: f"({one}) or ({two})", inner, inner),
        st.builds(lambda one: f"not ({one})", inner),
    ),
    max_leaves=6,
)


@given(text=filters, candidate=st.builds(Candidate, id=names, name=names, parent=names | st.none()))
def test_every_filter_meets_its_opposite_never(text: str, candidate: Candidate) -> None:
    if len(text) < CHARACTERS_MAX - 10:
        assert parse_filter(text)(candidate) is not parse_filter(f"not ({text})")(candidate)


@given(st.text(alphabet='()"\\ neameidcoqsworandt5', max_size=40))
def test_any_text_is_a_filter_or_is_refused(text: str) -> None:
    try:
        condition = parse_filter(text)
    except BadFilter:
        return
    assert condition(ACME_EU) in (True, False)
