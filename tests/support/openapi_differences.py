"""How one OpenAPI document differs from another that it should keep to. Standard library only.

A difference is (where, what): an operation ("GET /path") or a schema of the served document ("schema Team"), and what
is more, missing or other there. Words for people (descriptions, titles, examples, tags, `x-` members) are not compared.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Document = dict[str, Any]
Difference = tuple[str, str]

MORE_REQUIRED: Difference = ("every schema", "more members are required")
"""What all members that are required beyond the contract's come to."""

_WORDS = {"title", "description", "example", "examples", "deprecated"}
_TAKEN_APART = {"$ref", "allOf", "anyOf", "properties", "required", "items", "enum"}


class Differences:
    """Compares operations of a served document with a contract's."""

    def __init__(self, served: Document, contract: Document) -> None:
        self._served = served
        self._contract = contract

    def of_operation(self, path: str, method: str) -> Iterator[Difference]:
        """Yield how an operation differs, and every schema it leads to."""
        where = f"{method.upper()} {path}"
        ours = self._served["paths"].get(path, {}).get(method)
        if ours is None:
            yield where, "is missing"
            return
        item = self._contract["paths"][path]
        theirs = item[method]
        if ours["operationId"] != theirs["operationId"]:
            yield where, f"operationId {ours['operationId']} for {theirs['operationId']}"
        for what in self._of_security(ours, theirs):
            yield where, what
        for what in self._of_parameters(ours, [*item.get("parameters", ()), *theirs.get("parameters", ())]):
            yield where, what
        yield from self._of_responses(where, ours["responses"], theirs["responses"])

    def _of_security(self, ours: Document, theirs: Document) -> Iterator[str]:
        def ways(operation: Document, document: Document) -> set[str]:
            found: list[Document] = operation.get("security") or document.get("security") or []
            return {" and ".join(each) for each in found}

        have, want = ways(ours, self._served), ways(theirs, self._contract)
        yield from (f"security {way}" for way in sorted(have - want))
        yield from (f"no security {way}" for way in sorted(want - have))
        for way in have & want:
            yield from self._of_keywords(way, self._scheme(self._served, way), self._scheme(self._contract, way))

    @staticmethod
    def _scheme(document: Document, name: str) -> Document:
        return dict(document["components"]["securitySchemes"][name])

    def _of_parameters(self, ours: Document, theirs: Iterable[Document]) -> Iterator[str]:
        have = self._parameters(self._served, ours.get("parameters", ()))
        want = self._parameters(self._contract, theirs)
        yield from (f"parameter {name} in {place}" for name, place in sorted(have.keys() - want.keys()))
        yield from (f"no parameter {name} in {place}" for name, place in sorted(want.keys() - have.keys()))
        for name, place in have.keys() & want.keys():
            our, their = have[name, place], want[name, place]
            if our.get("required", False) is not their.get("required", False):
                yield f"parameter {name} is {'required' if our.get('required') else 'not required'}"
            our_schema, their_schema = _plain(self._served, our["schema"]), _plain(self._contract, their["schema"])
            yield from self._of_keywords(f"parameter {name}", our_schema, their_schema)

    @staticmethod
    def _parameters(document: Document, rows: Iterable[Document]) -> dict[tuple[str, str], Document]:
        found = (_followed(document, row) for row in rows)
        return {(row["name"], row["in"]): row for row in found}

    def _of_responses(self, where: str, ours: Document, theirs: Document) -> Iterator[Difference]:
        for status in sorted(theirs.keys() - ours.keys()):
            yield where, f"no status {status}"
        headers: dict[str, set[str]] = {}
        for status in sorted(ours):
            our = _followed(self._served, ours[status])
            their = _followed(self._contract, theirs.get(status, {}))
            known = their.get("headers", {})
            for name in our.get("headers", {}).keys() - known.keys():
                headers.setdefault(name, set()).add(status)
            for name in known.keys() - our.get("headers", {}).keys():
                yield where, f"no header {name} in {status}"
            added = "" if status in theirs else f"status {status}"
            yield from self._of_content(where, status, our.get("content", {}), their.get("content", {}), added)
        for name, statuses in headers.items():
            places = "every answer" if statuses == set(ours) else ", ".join(sorted(statuses))
            yield where, f"header {name} in {places}"

    def _of_content(
        self, where: str, status: str, ours: Document, theirs: Document, added: str
    ) -> Iterator[Difference]:
        for kind in sorted(theirs.keys() - ours.keys()):
            yield where, f"no {kind} in {status}"
        for kind in sorted(ours.keys() - theirs.keys()):
            schema = ours[kind]["schema"]
            yield where, f"{added or status} has a body {_name(schema) or kind}"
            yield from self._of_schemas(f"{where} {status}", schema, {"$ref": f"#/components/schemas/{_name(schema)}"})
        for kind in ours.keys() & theirs.keys():
            yield from self._of_schemas(f"{where} {status}", ours[kind]["schema"], theirs[kind]["schema"])
        if added and not ours:
            yield where, added

    def _of_schemas(self, where: str, ours: Document, theirs: Document, member: str = "") -> Iterator[Difference]:
        """Yield how a schema differs; `member` is the path to it from the schema that `where` names."""
        if (name := _name(ours)) is not None:
            where, member = f"schema {name}", ""
        our, their = _plain(self._served, ours), _plain(self._contract, theirs)
        for what in self._of_keywords(member, our, their):
            yield where, what
        if "items" in our and "items" in their:
            yield from self._of_schemas(where, our["items"], their["items"], f"{member}[]")
        have, want = our.get("properties", {}), their.get("properties", {})
        required, wanted = set(our.get("required", ())), set(their.get("required", ()))
        if required & want.keys() - wanted:
            yield MORE_REQUIRED
        for each in sorted(wanted - required):
            yield where, f"member {_under(member, each)} is not required"
        for each in sorted(want.keys() - have.keys()):
            yield where, f"no member {_under(member, each)}"
        for each in have:
            if each in want:
                yield from self._of_schemas(where, have[each], want[each], _under(member, each))
            else:
                yield where, f"member {_under(member, each)}"
                # What the contract has no place for may still have a shape there.
                if (name := _name(have[each])) in self._contract["components"]["schemas"]:
                    yield from self._of_schemas(where, have[each], {"$ref": f"#/components/schemas/{name}"})

    @staticmethod
    def _of_keywords(subject: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
        """Yield at most one sentence: what the rules for a value are that differ."""
        different = [*_of_enum(ours.get("enum"), theirs.get("enum"))]
        for keyword in sorted((ours.keys() | theirs.keys()) - _WORDS - _TAKEN_APART):
            our, their = ours.get(keyword), theirs.get(keyword)
            if our != their and not keyword.startswith("x-"):
                different.append(f"no {keyword}" if our is None else f"{keyword} {our}")
        if different:
            yield f"{subject}: {', '.join(different)}" if subject else ", ".join(different)


def _of_enum(ours: list[str] | None, theirs: list[str] | None) -> Iterator[str]:
    if ours is None or theirs is None:
        if ours != theirs:
            yield "no enum" if ours is None else f"enum {' | '.join(ours)}"
        return
    if more := [each for each in ours if each not in theirs]:
        yield f"enum with {' | '.join(more)}"
    if less := [each for each in theirs if each not in ours]:
        yield f"enum without {' | '.join(less)}"


def _under(member: str, name: str) -> str:
    return f"{member}.{name}" if member else name


def _name(schema: Document) -> str | None:
    """Return the name of the component that a schema refers to, be it nullable or not."""
    for each in (schema, *schema.get("anyOf", ())):
        if "$ref" in each:
            return str(each["$ref"]).rpartition("/")[2]
    return None


def _followed(document: Document, node: Document) -> Document:
    while "$ref" in node:
        found: Any = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def _plain(document: Document, schema: Document) -> Document:
    """Return a schema without references at its top: parts of `allOf` in one, null as `nullable`."""
    schema = _followed(document, schema) | {key: value for key, value in schema.items() if key != "$ref"}
    for part in schema.pop("allOf", ()):
        of_part = _plain(document, part)
        schema["required"] = [*schema.get("required", ()), *of_part.pop("required", ())]
        schema["properties"] = schema.get("properties", {}) | of_part.pop("properties", {})
        schema |= of_part
    alternatives = schema.pop("anyOf", [])
    if {"type": "null"} in alternatives:
        [other] = [each for each in alternatives if each != {"type": "null"}]
        return schema | _plain(document, other) | {"nullable": True}
    if alternatives:
        schema["anyOf"] = alternatives
    kinds = schema.get("type")
    if isinstance(kinds, list) and "null" in kinds:
        [kind] = [each for each in kinds if each != "null"]
        return schema | {"type": kind, "nullable": True}
    return schema
