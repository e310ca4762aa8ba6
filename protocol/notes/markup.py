"""Narratives of FHIR, which are XHTML: their text without the markup.

Cut into tags and text before the standard library's parser reads it: that one takes quadratic time on markup that is
never closed (CPython issue 135462).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

#: What stands inside of these is no text.
_DROPPED = frozenset(
    ("script", "style", "head", "title", "template", "object", "svg", "math", "noscript", "iframe")
)
_BLOCKS = frozenset(
    ("div", "p", "br", "hr", "tr", "table", "thead", "tbody", "tfoot", "caption", "ul", "ol", "li", "dl", "dt", "dd",
     "h1", "h2", "h3", "h4", "h5", "h6", "pre", "blockquote", "section", "article", "header", "footer", "address")
)  # fmt: skip
_CELLS = frozenset({"td", "th"})
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]{0,30})")
_BLANKS, _LINES = re.compile(r"[ \t\r\f\v\u00a0]+"), re.compile(r" ?\n[ \n]*")
_CLOSING = {name: re.compile(f"</{name}", re.IGNORECASE) for name in _DROPPED}
#: From an opening to its end; without one, the rest is no text.
_ENCLOSED = (("<!--", "-->"), ("<![CDATA[", "]]>"), ("<!", ">"), ("<?", ">"))


class _Reader(HTMLParser):
    """Collects text, with a line for each block. Entities are decoded."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        self._apart(tag)

    def handle_endtag(self, tag: str) -> None:
        self._apart(tag)

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)

    def _apart(self, tag: str) -> None:
        if tag in _BLOCKS or tag in _CELLS:
            self.pieces.append("\n" if tag in _BLOCKS else " ")


def text_of(html: str) -> str:
    """The text that a reader would see, blocks on lines of their own. Malformed markup is read as far as it goes."""
    reader = _Reader()
    for piece in _pieces(html.replace("\0", " ")):
        reader.feed(piece)
    reader.close()
    return _LINES.sub("\n", _BLANKS.sub(" ", "".join(reader.pieces))).strip()


def _pieces(html: str) -> Iterator[str]:
    """Text without tags, and tags without attributes; what is dropped does not come."""
    at = 0
    while (begin := html.find("<", at)) >= 0:
        yield html[at:begin]
        enclosed = next((pair for pair in _ENCLOSED if html.startswith(pair[0], begin)), None)
        tag = _TAG.match(html, begin)
        if enclosed:
            end = html.find(enclosed[1], begin + len(enclosed[0]))
            if end >= 0 and enclosed[0] == "<![CDATA[":
                yield html[begin + len(enclosed[0]) : end].replace("&", "&amp;").replace("<", "&lt;")
            at = end + len(enclosed[1])
        elif tag:
            end = html.find(">", begin)
            name = tag[2].lower()
            if not tag[1] and name in _DROPPED and end >= 0 and html[end - 1] != "/":
                closing = _CLOSING[name].search(html, end)
                end = html.find(">", closing.end()) if closing else -1
            elif end >= 0:
                yield f"<{tag[1]}{name}>"
            at = end + 1
        else:
            end, at = begin, begin + 1
            yield "&lt;"
        if end < 0:
            return
    yield html[at:]
