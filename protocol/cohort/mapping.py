"""A reviewed document that says how a patient's resources become one row. `docs/RECORDS.md` shows all of it.

    {"kind": "cohort", "name": "prediabetes", "purpose": "HRESCH", "consent": "opt-out",
     "index": "last-contact", "window": {"before_label": true},
     "features": [{"name": "age", "kind": "age", "years": 5, "from": 20, "to": 90, "centre": 55, "scale": 20}, …],
     "label": {"name": "diabetes", "kind": "has", "element": "Condition.code", "codes": [{"system": …, "code": …}]},
     "anonymity": {"k": 5, "max_suppressed": 0.2, "quasi_identifiers": [{"name": "age", "bands": [10, 20, "all"]}]}}

With ``before_label`` features use only what was over before the first event that makes the label positive, and the
index date is the last contact before it: what was measured or done because of the diagnosis cannot tell it. Without,
the document says why (``because``), and no feature may read what the label is made of.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Self

from protocol.cohort.features import (
    Age,
    Coded,
    ColumnPlan,
    Feature,
    Occurrence,
    Value,
    parse_feature,
)
from protocol.cohort.hierarchies import Hierarchy, parse_hierarchy
from protocol.cohort.history import History, is_replaced
from protocol.cohort.label import Index, Label
from protocol.cohort.place import Place
from protocol.content import canonical
from protocol.content.cid import digest_of
from protocol.data import files
from protocol.data.schema import MAX_COLUMNS, DataSchema, fitted
from protocol.errors import DataError, InvalidInput

OPT_OUT, OPT_IN = "opt-out", "opt-in"
POSITIVE = "> 0"
MIN_K, MAX_K = 2, 1_000_000
MAX_QUASI_IDENTIFIERS = 12
#: Rows whose means may be published as constants.
MIN_FITTED = 20


@dataclass(frozen=True)
class LeftOut:
    """Why a patient has no row."""

    reason: str


@dataclass(frozen=True)
class Anonymity:
    """The least k, the largest share of patients left out for it, and the quasi-identifiers."""

    k: int
    max_suppressed: float
    hierarchies: tuple[Hierarchy, ...]

    @classmethod
    def parse(cls, place: Place, features: Mapping[str, Feature]) -> Self:
        read = place.fields("k max_suppressed quasi_identifiers")
        share = read["max_suppressed"].number()
        if not 0 <= share < 1:
            read["max_suppressed"].wrong("must be a share from 0, and below 1")
        each = read["quasi_identifiers"].items(1, MAX_QUASI_IDENTIFIERS)
        hierarchies = tuple(parse_hierarchy(one, features) for one in each)
        read["quasi_identifiers"].once([one.name for one in hierarchies])
        return cls(read["k"].whole(MIN_K, MAX_K), share, hierarchies)


@dataclass(frozen=True)
class CohortMapping:
    """A mapping that was read and checked. Get one with `parse`, `read` or `packaged`."""

    name: str
    purpose: str
    consent: str
    index: Index
    before_label: bool
    because: str
    features: tuple[Feature, ...]
    label: Label
    anonymity: Anonymity
    document: Mapping[str, Any]

    @classmethod
    def parse(cls, document: Any) -> Self:
        """The mapping in a JSON document. Raises `DataError` that says where it is wrong."""
        read = Place(document).fields(
            "kind name purpose consent index window features label anonymity", "description"
        )
        read["kind"].choice("cohort")
        if "description" in read:
            read["description"].text(4_096)
        before, because = _window(read["window"])
        features = tuple(parse_feature(each) for each in read["features"].items(1, MAX_COLUMNS))
        label = Label.parse(read["label"])
        plans = [plan for feature in features for plan in feature.plans]
        read["features"].once([*(plan.name for plan in plans), label.name])
        if not before:
            for number, feature in enumerate(features):
                if _reads(feature, label):
                    place = Place(None, f"features.{number}")
                    place.wrong("reads what the label is made of: that goes with window.before_label alone")
        made = cls(
            read["name"].text(),
            read["purpose"].text(),
            read["consent"].choice(OPT_OUT, OPT_IN),
            Index.parse(read["index"]),
            before,
            because,
            features,
            label,
            Anonymity.parse(read["anonymity"], {feature.name: feature for feature in features}),
            document,
        )
        made.digest()
        made._schema([_with_constants(plan) for plan in plans])
        return made

    @classmethod
    def read(cls, path: Path) -> Self:
        """The mapping in a file. Raises `DataError`."""
        try:
            content = files.read_small(path, canonical.MAX_DOCUMENT_BYTES).decode("utf-8")
            return cls.parse(json.loads(content, object_pairs_hook=_unique))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path.name} is not JSON in UTF-8.") from error

    @classmethod
    def packaged(cls, name: str) -> Self:
        """The mapping of this name that comes with Salus. Raises `DataError` that lists those there are."""
        if name not in packaged_names():
            raise DataError(
                f"There is no packaged mapping {name!r}.", f"There are: {', '.join(packaged_names())}."
            )
        return cls.parse(json.loads(_folder().joinpath(f"{name}.json").read_text(encoding="utf-8")))

    def digest(self) -> bytes:
        """SHA-256 (32 bytes) of its canonical JSON: of what was reviewed. Raises `DataError` for what has none."""
        try:
            return digest_of(canonical.dumps(self.document))
        except InvalidInput as error:
            raise DataError(error.message, error.hint) from error

    @property
    def types(self) -> frozenset[str]:
        """Of the resources that it reads."""
        read = [feature.types for feature in self.features]
        return frozenset({"Patient", self.label.type}).union(self.index.types, *read)

    def row(self, history: History) -> dict[str, float] | LeftOut:
        """A patient's row, its quasi-identifiers not generalised yet, or why there is none."""
        if history.person is None:
            return LeftOut("no Patient resource")
        if is_replaced(history.person):
            return LeftOut("replaced by another Patient resource")
        positive = self.label.events(history)
        if positive is None:
            return LeftOut(f"{self.label.name}: missing")
        before = None
        if self.before_label and positive:
            if any(event.when is None for event in positive):
                return LeftOut("label without a date")
            before = min(event.when.earliest for event in positive)
            history = history.within(before, None)
        at = self.index.of(history)
        if at is None:
            return LeftOut("no contact before the label" if before else "no index date")
        if self.index.event is not None:
            history = history.within(None, at)
        row: dict[str, float] = {}
        for feature in self.features:
            value, missing = feature.of(history, at), feature.missing
            if value is None and (missing is None or missing.fill is None):
                return LeftOut(f"{feature.name}: missing")
            if isinstance(feature, Age):
                if value < feature.low:
                    return LeftOut(f"{feature.name}: below {feature.low}")
                value = feature.middle(value)
            row[feature.name] = missing.fill if value is None else value
            if missing is not None and missing.indicator is not None:
                row[missing.indicator] = float(value is None)
        row[self.label.name] = float(bool(positive))
        return row

    def schema(self) -> DataSchema:
        """The schema with the constants of this document, the same at every hospital. Raises `DataError` where a
        feature has none."""
        plans = [plan for feature in self.features for plan in feature.plans]
        if without := [plan.name for plan in plans if plan.centre is None]:
            raise DataError(
                f"Mapping {self.name}: {without[0]!r} has no centre and scale.",
                "Fit a schema to one hospital's rows (`--fit-schema`), publish it, and give it to all (`--schema`).",
            )
        return self._schema(plans)

    def fit(self, records: Sequence[Mapping[str, float]]) -> DataSchema:
        """The schema with constants of one hospital's rows, which it publishes once for all. Raises `DataError`."""
        if len(records) < MIN_FITTED:
            raise DataError(
                f"{len(records)} rows are too few to publish means of; {MIN_FITTED} are asked for."
            )
        columns = {plan.name: plan.levels for feature in self.features for plan in feature.plans}
        return DataSchema.parse(fitted(self.name, columns, self.label.name, POSITIVE, records).to_dict())

    def check(self, schema: DataSchema) -> DataSchema:
        """The same schema. Raises `DataError` unless it has exactly the columns, levels and label of this mapping."""
        plans = [plan for feature in self.features for plan in feature.plans]
        columns = [(column.name, column.levels) for column in schema.columns]
        if columns != [(plan.name, plan.levels) for plan in plans] or (schema.label, schema.positive) != (
            self.label.name,
            POSITIVE,
        ):
            raise DataError(
                f"The schema {schema.name} is not of the mapping {self.name}: columns, levels or label differ.",
                "Take the schema that was fitted with this mapping.",
            )
        return schema

    def _schema(self, plans: Iterable[ColumnPlan]) -> DataSchema:
        columns = [_column(plan) for plan in plans]
        label = {"name": self.label.name, "positive": POSITIVE}
        return DataSchema.parse({"kind": "tabular", "name": self.name, "columns": columns, "label": label})


def packaged_names() -> list[str]:
    """Names of the mappings that come with Salus."""
    return sorted(
        entry.name.removesuffix(".json") for entry in _folder().iterdir() if entry.name.endswith(".json")
    )


def _folder() -> Any:
    return resources.files("protocol").joinpath("cohort/mappings")


def _window(place: Place) -> tuple[bool, str]:
    read = place.fields("before_label", "because")
    before = read["before_label"].truth()
    if before == ("because" in read):
        place.wrong("needs because, the reason, where before_label is false, and only there")
    return before, "" if before else read["because"].text(1_024)


def _reads(feature: Feature, label: Label) -> bool:
    """Whether a feature reads resources that decide the label."""
    if label.type not in feature.types:
        return False
    if isinstance(feature, Occurrence):
        own = feature.codes
    elif isinstance(feature, Value):
        own = feature.quantities.codes
    else:
        own = feature.among if isinstance(feature, Coded) else frozenset()
    return not own or bool(own & label.codes)


def _with_constants(plan: ColumnPlan) -> ColumnPlan:
    width = max(len(plan.levels) - 1, 1)
    return ColumnPlan(plan.name, plan.levels, plan.centre or (0.0,) * width, plan.scale or (1.0,) * width)


def _column(plan: ColumnPlan) -> dict[str, Any]:
    if not plan.levels:
        return {"name": plan.name, "type": "number", "centre": plan.centre[0], "scale": plan.scale[0]}
    return {
        "name": plan.name,
        "type": "category",
        "levels": list(plan.levels),
        "centre": list(plan.centre),
        "scale": list(plan.scale),
    }


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise DataError("The mapping repeats a key.", "Each key stands once in an object.")
    return document
