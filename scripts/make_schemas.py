"""Writes the packaged schemas: constants from the training records of each table's first hospital, and from a public
set's training pictures.

python scripts/make_schemas.py
"""

from __future__ import annotations

import json
from pathlib import Path

from protocol.data import breast_cancer, breast_mnist, heart_disease

FOLDER = Path(__file__).resolve().parents[1] / "protocol" / "data" / "schemas"


def documents() -> dict[str, str]:
    """Text of each schema file by name."""
    schemas = [
        *(source.schema(source.load()) for source in (heart_disease, breast_cancer)),
        breast_mnist.schema(breast_mnist.load()["train"]),
    ]
    return {f"{schema.name}.json": json.dumps(schema.to_dict(), indent=2) + "\n" for schema in schemas}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in documents().items():
        (FOLDER / name).write_text(text)
