"""What a record is when it is a picture: its size, and the constants that turn grey or colour into numbers, the same
for every hospital.

    {"kind": "image", "name": "breast-ultrasound", "rows": 28, "columns": 28, "channels": 1,
     "centre": 0.33, "scale": 0.2, "label": {"name": "finding", "positive": "== 0"}}

A picture is brought to `rows` x `columns`, whatever its proportions, by the mean of the pixels that fall on each (the
nearest one, where it grows), and to one channel (grey) or three (red, green, blue). A sample v from 0 to 255 becomes
(v / 255 - centre) / scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from PIL import Image

from protocol.content import canonical
from protocol.content.cid import digest_of
from protocol.data import documents
from protocol.data.schema import DataSchema, packaged_document
from protocol.errors import DataError

#: The sides that the zoo's networks take.
MIN_SIDE, MAX_SIDE = 8, 512
#: Grey, and red, green, blue: Pillow's names.
_MODES = {1: "L", 3: "RGB"}
_FIELDS = ("name", "rows", "columns", "channels", "centre", "scale", "label")


@dataclass(frozen=True)
class ImageSchema:
    """A schema of pictures. Get one with `parse` or `packaged`."""

    name: str
    rows: int
    columns: int
    channels: int
    centre: float
    scale: float
    label: str
    positive: str

    @classmethod
    def parse(cls, document: Any) -> Self:
        """The schema in a JSON document. Raises `DataError` that says where it is wrong."""
        schema = documents.of_kind(document, "image", *_FIELDS)
        channels = documents.whole(schema["channels"], "channels", 1, 3)
        if channels not in _MODES:
            documents.wrong("channels", "must be 1 (grey) or 3 (red, green, blue)")
        [centre] = documents.numbers([schema["centre"]], "centre")
        [scale] = documents.numbers([schema["scale"]], "scale")
        if scale <= 0:
            documents.wrong("scale", "must be above zero")
        label, positive = documents.label(schema["label"])
        documents.refuse_identifiers([label])
        return cls(
            name=documents.text(schema["name"], "name"),
            rows=documents.whole(schema["rows"], "rows", MIN_SIDE, MAX_SIDE),
            columns=documents.whole(schema["columns"], "columns", MIN_SIDE, MAX_SIDE),
            channels=channels,
            centre=centre,
            scale=scale,
            label=label,
            positive=positive,
        )

    @classmethod
    def packaged(cls, name: str) -> Self:
        """The schema of this name that comes with Salus. Raises `DataError` that lists those there are."""
        return cls.parse(packaged_document(name))

    def to_dict(self) -> dict[str, Any]:
        """The document of which `parse` makes the same schema."""
        return {
            "kind": "image",
            "name": self.name,
            "rows": self.rows,
            "columns": self.columns,
            "channels": self.channels,
            "centre": self.centre,
            "scale": self.scale,
            "label": {"name": self.label, "positive": self.positive},
        }

    def digest(self) -> bytes:
        """The digest (32 bytes) of the canonical document: `schemaDigest` on the chain."""
        return digest_of(canonical.dumps(self.to_dict()))

    @property
    def names(self) -> list[str]:
        """What a record has, the label last."""
        return ["picture", self.label]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an encoded picture: channels, rows, columns."""
        return (self.channels, self.rows, self.columns)

    def encode(self, picture: np.ndarray) -> np.ndarray:
        """A picture uint8[height, width] or uint8[height, width, 3] of any size as float32[channels, rows, columns].

        Sizes and colours change in integers (Pillow's box filter and its ITU-R 601 luma), so every machine makes the
        same numbers. Raises `DataError` for anything else than a picture.
        """
        if picture.dtype != np.uint8 or not (
            picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] == 3)
        ):
            raise DataError(
                f"Not a picture: {picture.dtype}[{', '.join(map(str, picture.shape))}].",
                "It must be uint8[height, width], or [height, width, 3] for colours.",
            )
        if not picture.size:
            raise DataError("A picture without pixels cannot be encoded.")
        image = Image.fromarray(np.ascontiguousarray(picture)).convert(_MODES[self.channels])
        sized = np.asarray(image.resize((self.columns, self.rows), Image.Resampling.BOX), np.float64)
        channels = np.moveaxis(sized.reshape(self.rows, self.columns, self.channels), 2, 0)
        return ((channels / 255 - self.centre) / self.scale).astype(np.float32)

    def labels(self, values: Sequence[int]) -> np.ndarray:
        """Labels as the hospital gave them, as float32[n]: 1 for positive, else 0."""
        return np.array([documents.holds(self.positive, value) for value in values], np.float32)

    def is_positive(self, record: Mapping[str, Any]) -> bool:
        """Whether the ``label`` of a record, ``{"sha256", "label"}``, is positive."""
        return documents.holds(self.positive, record["label"])


#: What a dataset's records are: rows of a table, or pictures.
Schema = DataSchema | ImageSchema


def schema_of(document: Any) -> Schema:
    """The schema in a JSON document, of whichever kind. Raises `DataError` that says where it is wrong."""
    kind = document.get("kind") if isinstance(document, dict) else None
    return ImageSchema.parse(document) if kind == "image" else DataSchema.parse(document)


def packaged(name: str) -> Schema:
    """The schema of this name that comes with Salus. Raises `DataError` that lists those there are."""
    return schema_of(packaged_document(name))
