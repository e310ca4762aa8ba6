"""Job specs to start from: all but the base state, the data schema and the time to keep.

The demonstration and the accuracy bench read the same ones, so that what is shown is what was measured.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

from protocol.content.cid import to_cid
from protocol.errors import InvalidInput
from protocol.spec import JobSpec, ModelSpec, StateSpec


@dataclass(frozen=True, slots=True)
class Template:
    """A spec without ``base``, ``data`` and ``retain_until``."""

    document: dict[str, Any]

    @classmethod
    def load(cls, name: str) -> Template:
        """The packaged template of this name. Raises InvalidInput that lists those there are."""
        if name not in names():
            raise InvalidInput(f"There is no job template {name!r}.", f"There are: {', '.join(names())}.")
        text = resources.files("protocol").joinpath(f"data/specs/{name}.json").read_text(encoding="utf-8")
        return cls(json.loads(text))

    @property
    def model(self) -> ModelSpec:
        return ModelSpec(**self.document["model"])

    @property
    def state(self) -> StateSpec:
        return StateSpec(self.document["state"]["fraction_bits"], self.document["state"].get("tensors", {}))

    @property
    def seed(self) -> int:
        return int(self.document["training"]["seed"])

    def complete(
        self,
        *,
        base_cid: bytes,
        base_root: bytes,
        schema: dict[str, Any],
        retain_until: int,
        **changes: Any,
    ) -> JobSpec:
        """The job spec. ``changes`` replace whole fields of the template. Raises SpecError."""
        return JobSpec.from_dict(
            {
                **self.document,
                "base": {"cid": to_cid(base_cid), "root": "0x" + base_root.hex()},
                "data": {"schema": schema},
                "retain_until": retain_until,
                **changes,
            }
        )


def names() -> list[str]:
    """The packaged templates."""
    folder = resources.files("protocol").joinpath("data/specs")
    return sorted(
        entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json")
    )
