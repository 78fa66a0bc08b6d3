"""Checks an OpenAPI 3.1 document: the document itself, each schema against the meta-schema of JSON Schema 2020-12, and
each example against its schema, formats included.

usage: check_document.py OPENAPI.JSON
"""

import json
import sys

from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

ROOT = "urn:document"


def absolute(schema):
    """The schema with references that work outside of the document, too."""
    if isinstance(schema, dict):
        return {name: ROOT + part if name == "$ref" else absolute(part) for name, part in schema.items()}
    if isinstance(schema, list):
        return [absolute(part) for part in schema]
    return schema


class Examples:
    """Walks the document and checks every example against the schema beside it."""

    def __init__(self, document):
        self.registry = Registry().with_resource(ROOT, Resource(contents=document, specification=DRAFT202012))
        self.checked = 0
        self.wrong = []

    def check(self, schema, example, place):
        self.checked += 1
        validator = Draft202012Validator(
            absolute(schema), registry=self.registry, format_checker=Draft202012Validator.FORMAT_CHECKER
        )
        for error in validator.iter_errors(example):
            self.wrong.append(f"{place}: {error.message[:200]}")

    def walk(self, part, place="#"):
        if isinstance(part, dict):
            if "schema" in part:
                if "example" in part:
                    self.check(part["schema"], part["example"], place)
                for name, example in part.get("examples", {}).items():
                    self.check(part["schema"], example["value"], f"{place}/examples/{name}")
            elif "example" in part and ("type" in part or "$ref" in part):
                self.check(part, part["example"], place)
            for name, inner in part.items():
                if name not in ("example", "examples"):
                    self.walk(inner, f"{place}/{name}")
        elif isinstance(part, list):
            for index, inner in enumerate(part):
                self.walk(inner, f"{place}/{index}")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        document = json.load(file)
    wrong = [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:200]}"
             for error in OpenAPIV31SpecValidator(document).iter_errors()]
    schemas = document["components"]["schemas"]
    for name, schema in schemas.items():
        wrong += [f"{name}: {error.message[:200]}"
                  for error in Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(schema)]
    examples = Examples(document)
    examples.walk(document)
    wrong += examples.wrong
    if not schemas or examples.checked < 100:
        wrong.append("the document has no schemas or examples to speak of")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"document: {len(schemas)} schemas, {examples.checked} examples")


main()
