"""Bytes as text, in the encoding that they say they are in."""

from __future__ import annotations

import codecs

import pytest

from protocol.notes.encoding import decoded

TEXT = "Né à Évry : Lefèvre"


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (TEXT.encode(), "text/plain"),
        (codecs.BOM_UTF8 + TEXT.encode(), "text/plain"),
        (TEXT.encode("utf-16"), "text/plain"),
        (codecs.BOM_UTF16_BE + TEXT.encode("utf-16-be"), "text/plain; charset=utf-8"),
        (TEXT.encode("utf-32"), ""),
        (codecs.BOM_UTF32_BE + TEXT.encode("utf-32-be"), ""),
        (TEXT.encode("utf-16-le"), "text/plain;charset=UTF-16LE"),
        (TEXT.encode("cp1252"), 'text/plain; charset="ISO-8859-1"'),
    ],
)
def test_texts_are_read(content: bytes, content_type: str) -> None:
    assert decoded(content, content_type) == TEXT


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (TEXT.encode("cp1252"), "text/plain"),
        (TEXT.encode("utf-16-le"), "text/plain; charset=utf-16be"),
        (TEXT.encode("utf-16-le"), "text/plain; charset=utf-16"),
        (b"Dupont was seen.", "text/plain; charset=utf-16le"),
        (codecs.BOM_UTF16_LE + b"Dupont was seen.", "text/plain"),
        (b"Qhcbag", "text/plain; charset=rot13"),
        (b"+AEQ-upont", "text/plain; charset=utf-7"),
    ],
)
def test_what_cannot_be_read_or_would_show_other_letters_is_refused(
    content: bytes, content_type: str
) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decoded(content, content_type)
