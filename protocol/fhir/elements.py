"""Which elements FHIR R4 has, and of what data type each is: what rules may speak of."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

FILE = "rules/r4-elements.json"
#: Data types whose values are one JSON string, number or boolean.
PRIMITIVES = frozenset(
    {
        "boolean", "integer", "positiveInt", "unsignedInt", "decimal", "code", "string", "markdown", "uri", "url",
        "canonical", "uid", "date", "dateTime", "instant", "time", "base64Binary", "xhtml",
    }
)  # fmt: skip
#: Resources within a resource.
CONTAINED = "contained"


@dataclass(frozen=True)
class Element:
    """An element: its data type, and its codes where that is ``code`` with a required binding."""

    type: str
    codes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Shape:
    """The elements of a type by path, and backbone elements that hold themselves."""

    elements: dict[str, Element]
    recursive: str = ""

    @property
    def branches(self) -> frozenset[str]:
        """Paths of backbone elements."""
        found = set()
        for path in self.elements:
            parts = path.split(".")
            found.update(".".join(parts[:end]) for end in range(1, len(parts)))
        return frozenset(found)

    @property
    def loop(self) -> str:
        """The path at which the recursive element holds itself, such as section.section."""
        return f"{self.recursive}.{self.recursive}" if self.recursive else ""


@cache
def data_types() -> dict[str, Shape]:
    """Complex data types by name."""
    return _shapes("types")


@cache
def resources() -> dict[str, Shape]:
    """Types of resources that rules may be given for, by name."""
    return _shapes("resources")


def _shapes(section: str) -> dict[str, Shape]:
    document = json.loads(files("protocol.fhir").joinpath(FILE).read_text(encoding="utf-8"))
    sets = {name: frozenset(codes.split()) for name, codes in document["sets"].items()}
    shapes = {}
    for name, groups in document[section].items():
        elements: dict[str, Element] = {}
        for data_type, paths in groups.items():
            if data_type == "recursive":
                continue
            if data_type == "code":
                for path, codes in paths.items():
                    bound = sets[codes[1:]] if codes.startswith("@") else frozenset(codes.split())
                    elements[path] = Element(data_type, bound)
            else:
                elements.update({path: Element(data_type) for path in paths.split()})
        shapes[name] = Shape(elements, groups.get("recursive", ""))
    return shapes
