"""Narratives of FHIR, which are XHTML: their text without the markup. And plain text that holds markup all the same.

Cut into tags and text before the standard library's parser reads it: that one takes quadratic time on markup that is
never closed (CPython issue 135462).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
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

#: So often what was escaped is read again: "&amp;#117;".
_MOST_ROUNDS = 3
#: Signs of which one stands in all that is undone.
_SIGNS = re.compile(r"[&<\\=]|\]\]>")
_INLINE = frozenset(
    ("a", "abbr", "b", "bdi", "bdo", "big", "center", "cite", "code", "data", "del", "dfn", "em", "font", "i", "img",
     "input", "ins", "kbd", "label", "mark", "o", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup",
     "time", "tt", "u", "var", "wbr", "html", "body", "col", "colgroup", "form", "link", "meta", "main", "nav")
) | _DROPPED  # fmt: skip
_ANY_TAG = re.compile(r"<(/?)([a-zA-Z][\w:.-]{0,40})(\s[^<>]*|/)?>")
_DECLARATION = re.compile(r"<[!?][a-zA-Z][^<>]*>")
_SECTION = re.compile(r"<!\[CDATA\[|\]\]>")
_ATTRIBUTE = re.compile(r"=\s{0,4}[\"'\w]")
_AMPERSANDS = re.compile(r"&(?:amp;|#0{0,6}38;|#[xX]0{0,6}26;)+")
#: No character has that number; to read it takes long, or fails.
_NO_CHARACTER = re.compile(r"&#(?:[0-9]{8,}|[xX][0-9a-fA-F]{7,});?")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
#: JSON's and HL7's: a backslash, and the number of a character.
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})|\\x([0-9a-fA-F]{2})|\\X((?:[0-9a-fA-F]{2}){1,32})\\")
#: Quoted-printable, as far as it can be nothing else: "FC=75" is a rate.
_ACCENT = re.compile(r"=C([23])=([89AB][0-9A-F])")
_SOFT_BREAK = re.compile(r"(?<=[^\W\d_])=\r?\n(?=[^\W\d_])")


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
    for piece in _pieces(_NO_CHARACTER.sub("", html.replace("\0", ""))):
        reader.feed(piece)
    reader.close()
    return _LINES.sub("\n", _BLANKS.sub(" ", unmarked("".join(reader.pieces)))).strip()


def unmarked(text: str) -> str:
    """Plain text without the markup in it: tags taken out, entities and escapes replaced by what they stand for, and
    once more what that brings forth. Whatever then still is an entity goes."""
    for _ in range(_MOST_ROUNDS):
        if not _SIGNS.search(text):
            return text
        before, text = text, _round(text)
        if text == before:
            return text
    return text if _round(text) == text else _ENTITY.sub(" ", _ANY_TAG.sub(" ", text))


def _round(text: str) -> str:
    if "<" in text or "]]>" in text:
        text = _SECTION.sub("", _without_comments(text))
        text = _ANY_TAG.sub(_instead_of_tag, _DECLARATION.sub("", text))
    if "&" in text:
        text = unescape(_AMPERSANDS.sub("&", _NO_CHARACTER.sub("", text)))
    if "\\" in text:
        text = _ESCAPE.sub(_escaped, text)
    if "=" in text:
        text = _ACCENT.sub(lambda found: bytes.fromhex(f"C{found[1]}{found[2]}").decode(), text)
        text = _SOFT_BREAK.sub("", text)
    return text


def _without_comments(text: str) -> str:
    pieces, at = [], 0
    while (begin := text.find("<!--", at)) >= 0 and (end := text.find("-->", begin + 4)) >= 0:
        pieces.append(text[at:begin])
        at = end + 3
    return "".join([*pieces, text[at:]])


def _instead_of_tag(found: re.Match[str]) -> str:
    """A tag of HTML goes, and so does any other within a word or with an attribute: "<LOQ>" alone is none."""
    name, text = found[2].lower(), found.string
    if name in _BLOCKS:
        return "\n"
    if name in _CELLS:
        return " "
    if name in _INLINE or (found[3] and _ATTRIBUTE.search(found[3])):
        return ""
    before, after = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1]
    within = (before.isalnum() or before == ">") and (after.isalnum() or after in ("<", "&"))
    return "" if within else found[0]


def _escaped(found: re.Match[str]) -> str:
    if found[3]:
        return bytes.fromhex(found[3]).decode("utf-8", "replace")
    code = int(found[1] or found[2], 16)
    return "" if 0xD800 <= code < 0xE000 else chr(code)


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
