"""Rules made ready: for every type of resource, what is done to each of its elements."""

from __future__ import annotations

from protocol.fhir import handlers
from protocol.fhir.elements import CONTAINED, PRIMITIVES
from protocol.fhir.handlers import CodeBook, Handler, Plan
from protocol.fhir.rules import Rule, Rules, Tree

_MOMENTS = ("date", "dateTime", "instant")
#: What an element has one of, by its data type, and where it may have several all the same.
_SINGLE = PRIMITIVES | {"Period", "Quantity", "Age", "Range", "Ratio", "Money", "Timing", "Narrative"}
_SEQUENCES = ("careTeamSequence", "diagnosisSequence", "procedureSequence", "informationSequence")
_REPEATING = {
    ("AllergyIntolerance", "category"),
    ("Timing", "event"),
    ("Timing", "repeat.dayOfWeek"),
    ("Timing", "repeat.when"),
    *((name, f"item.{each}") for name in ("Claim", "ExplanationOfBenefit") for each in _SEQUENCES),
}
#: Where a reference may be to another patient: the same individual under another id.
_SAME_INDIVIDUAL = {("Patient", "link.other"), ("Person", "link.target")}


class Plans:
    """What is done to each element of each type of resource that the rules name."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._book = CodeBook(rules.systems)
        self._types: dict[str, Handler] = {}
        for name in rules.types:
            self._type(name)
        self.resources: dict[str, Handler] = {}
        for name in rules.resources:
            self.resources[name] = self._parts(name, rules.trees[name])
        #: Types whose contained resources stay.
        self.containing = frozenset(name for name, given in rules.resources.items() if CONTAINED in given)

    def _type(self, name: str) -> Handler:
        """What is done to a data type; each is made once, and may not hold itself."""
        if name not in self._types:
            tree = self._rules.trees[name]
            self._types[name] = self._whole(name, tree) or self._parts(name, tree)
        return self._types[name]

    def _whole(self, name: str, tree: Tree) -> Handler | None:
        """Types whose parts mean something together alone."""
        if name == "Coding":
            return handlers.coding(self._book) if {"system", "code"} <= set(tree) else _nothing
        if name in ("Quantity", "Age"):
            value = tree.get("value")
            if not isinstance(value, Rule) or not {"system", "code"} <= set(tree):
                return _nothing
            comparator = tree.get("comparator")
            known = comparator.element.codes if isinstance(comparator, Rule) else frozenset()
            make = handlers.age if name == "Age" else handlers.quantity
            return make(self._book, known)
        if name == "Attachment":
            return handlers.attachment if "data" in tree else _nothing
        if name == "Narrative":
            return handlers.narrative if "div" in tree else _nothing
        return None

    def _parts(self, name: str, tree: Tree, at: str = "") -> Handler:
        """An object with the rules of a tree, at a path of a type."""
        plan: Plan = {}
        single: set[str] = set()
        made = handlers.of_parts(plan, single)
        for part, rule in tree.items():
            path = f"{at}.{part}" if at else part
            if isinstance(rule, dict):
                plan[part] = self._parts(name, rule, path)
            elif rule.element.type == "recursive":
                plan[part] = made
            elif rule.action != "redact" and rule.element.type != CONTAINED:
                plan[part] = self._leaf(name, path, rule)
                if rule.element.type in _SINGLE and (name, path) not in _REPEATING:
                    single.add(part)
        return made

    def _leaf(self, name: str, path: str, rule: Rule) -> Handler:
        kind = rule.element.type
        if rule.action == "as-type":
            return self._type(kind)
        if rule.action == "date-shift":
            return handlers.shift(kind)
        if rule.action == "pseudonymise":
            if kind == "Reference":
                return handlers.reference(anybody=(name, path) in _SAME_INDIVIDUAL)
            return handlers.uid if kind == "uid" else handlers.identifier
        if rule.action == "text":
            return {"Attachment": handlers.attachment, "Narrative": handlers.narrative}.get(
                kind, handlers.text
            )
        if rule.action == "generalise":
            if kind in _MOMENTS:
                own = (name, path) == ("Patient", "birthDate")
                return handlers.birth_year if own else handlers.generalise_year
            return handlers.generalise_start(int(rule.parameter))
        if kind == "boolean":
            return handlers.keep_boolean
        if kind == "code":
            return handlers.keep_code(rule.element.codes)
        return handlers.keep_decimal if kind == "decimal" else handlers.keep_integer


def _nothing(*_: object) -> None:
    """Rules that keep only a part of what means something as a whole keep nothing of it."""
