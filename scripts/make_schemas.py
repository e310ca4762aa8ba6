"""Writes the packaged schemas: constants from the training records of each set's first hospital.

python scripts/make_schemas.py
"""

from __future__ import annotations

import json
from pathlib import Path

from protocol.data import breast_cancer, heart_disease

FOLDER = Path(__file__).resolve().parents[1] / "protocol" / "data" / "schemas"


def documents() -> dict[str, str]:
    """Text of each schema file by name."""
    return {
        f"{source.SCHEMA_NAME}.json": json.dumps(source.schema(source.load()).to_dict(), indent=2) + "\n"
        for source in (heart_disease, breast_cancer)
    }


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in documents().items():
        (FOLDER / name).write_text(text)
