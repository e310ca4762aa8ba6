"""Bytes as text: by a byte order mark, or the charset that a content type names, or as UTF-8.

A text that is read in a wrong encoding shows no name, and still holds all of them. So no encoding is guessed, and what
is no Latin text after UTF-16 or UTF-32 is taken for a mistake.
"""

from __future__ import annotations

import codecs
import re

#: UTF-32 before UTF-16, whose mark begins as its mark does.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
#: What browsers take the first ones for as well. "UTF-16" alone does not say in which order.
_CHARSETS = {
    "us-ascii": "cp1252", "ascii": "cp1252", "iso-8859-1": "cp1252", "latin1": "cp1252", "windows-1252": "cp1252",
    "cp1252": "cp1252", "iso-8859-15": "iso-8859-15", "utf-8": "utf-8", "utf8": "utf-8", "utf-16le": "utf-16-le",
    "utf-16be": "utf-16-be", "utf-32le": "utf-32-le", "utf-32be": "utf-32-be",
}  # fmt: skip
_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([\w:.+-]{1,40})\"?", re.IGNORECASE)
_LAST_LATIN = "\u024f"


def decoded(content: bytes, content_type: str = "") -> str:
    """Raises ValueError for what cannot be read, and for an encoding that is not one of these."""
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "")
    if not encoding:
        stated = _CHARSET.search(content_type)
        encoding = _CHARSETS.get(stated[1].lower(), "") if stated else "utf-8"
    if not encoding:
        raise ValueError("an encoding that is not read")
    text = content.decode(encoding).removeprefix("\ufeff")
    if encoding.startswith(("utf-16", "utf-32")) and 2 * sum(each <= _LAST_LATIN for each in text) < len(
        text
    ):
        raise ValueError("not of this encoding")
    return text
