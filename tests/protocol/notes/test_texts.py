"""Any text: its form, its markup, its size; the spans, and what was cleaned before."""

from __future__ import annotations

import pickle
import random
import time
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.notes.deidentify import Deidentifier
from protocol.notes.folding import fold
from protocol.notes.markup import text_of

NOTE = (
    "Monsieur Ketelbuters Zoéline, né le 12/03/1961, 12 rue des Lilas, 69003 Lyon.\n"
    "Tél : 04 72 11 22 33 - IPP : 8001234567."
)
MANY = 150_000
LARGE = [
    "a", "A", "1", " ", "\n", "@", "a@", "é", "\0", "\u200b", ".", "-", "a-", "a'", "M. ", "A. ", "12 ", "1/", "(",
    "01 23 45 67 89 ", "12/03/2024 ", "中", "1 mai ", "12 rue ", "75000 Paris ", "FR76 0000 ", "IPP: ", "tel ",
    "&", "&amp;", "<b>", "<!--", "<!-- -->", "<a b=", "&#1", "\\X41", "1 v 20", "a=\n",
    "http://", "www.", ":", "P<", "Jean de la ", "nom : ", "Abcdefgh ", "[NAME] ", "1  ,  ", "patient's son ",
]  # fmt: skip


def test_spans_stand_in_the_original(deidentifier: Deidentifier) -> None:
    for form in ("NFC", "NFD"):
        text = unicodedata.normalize(form, NOTE)
        cleaned = deidentifier.clean(text)
        parts = [
            (unicodedata.normalize("NFC", text[each.start : each.end]), each.kind) for each in cleaned.spans
        ]
        assert parts == [
            ("Ketelbuters Zoéline", "NAME"),
            ("12/03/1961", "DATE"),
            ("12 rue des Lilas, 69003 Lyon", "ADDRESS"),
            ("04 72 11 22 33", "PHONE"),
            ("8001234567", "ID"),
        ]
        assert cleaned.found == {"ADDRESS": 1, "DATE": 1, "ID": 1, "NAME": 1, "PHONE": 1}


def test_what_stays_is_the_original_letter_for_letter(deidentifier: Deidentifier) -> None:
    text = "Œdème\u00a0: «\u202fnon\u202f» — T°\u00a037,2\u2009°C, ﬁèvre\u200b e\u0301tat."
    assert deidentifier.clean(text).text == text


@pytest.mark.parametrize(
    "written",
    [
        "０４ ７２ １１ ２２ ３３",
        "04\u202f72\u202f11\u202f22\u202f33",
        "04‑72‑11‑22‑33",
        "04–72–11–22–33",
        "0\u200b4 72 11 22\u2060 33",
        "٠٤ ٧٢ ١١ ٢٢ ٣٣",
        "04\0 72\0 11 22 33",
    ],
)
def test_numbers_written_oddly_go(deidentifier: Deidentifier, written: str) -> None:
    assert deidentifier.clean(f"au {written} ce soir").text == "au [PHONE] ce soir"


def test_cleaned_text_stays_as_it_is(deidentifier: Deidentifier) -> None:
    once = deidentifier.clean(NOTE)
    again = deidentifier.clean(once.text)
    assert (again.text, again.spans) == (once.text, [])


def test_the_same_text_gives_the_same_result(deidentifier: Deidentifier) -> None:
    """In another process as well."""
    assert pickle.loads(pickle.dumps(deidentifier)).clean(NOTE) == deidentifier.clean(NOTE)


@settings(max_examples=150, deadline=None)
@given(
    st.text(
        alphabet=st.one_of(st.characters(), st.sampled_from("0123456789 .-/@:\nDrMmeNIR\u0301\u200b")),
        max_size=200,
    )
)
def test_any_text_is_cleaned(text: str) -> None:
    cleaned = ANY.clean(text, known=[text[:10]])
    at, pieces = 0, []
    for span in cleaned.spans:
        assert at <= span.start < span.end <= len(cleaned.read)
        pieces += [cleaned.read[at : span.start], f"[{span.kind}]"]
        at = span.end
    assert cleaned.text == "".join([*pieces, cleaned.read[at:]])
    assert cleaned.read == text or any(each in text for each in "&<\\=")


ANY = Deidentifier()


@pytest.mark.parametrize("unit", LARGE, ids=repr)
def test_one_thing_over_and_over_is_cleaned(deidentifier: Deidentifier, unit: str) -> None:
    """Each takes a second; anything worse than linear would take hours."""
    text = (unit * (MANY // len(unit) + 1))[:MANY]
    cleaned = deidentifier.clean(text)
    assert sum(cleaned.found.values()) == len(cleaned.spans)


def test_a_letter_with_thousands_of_marks(deidentifier: Deidentifier) -> None:
    text = "e" + "\u0301\u0316" * 100_000 + " Dr Ketelbuters"
    assert deidentifier.clean(text).text.endswith(" Dr [NAME]")


def test_random_characters_of_all_scripts(deidentifier: Deidentifier) -> None:
    draw = random.Random(7)
    text = "".join(chr(draw.randrange(1, 0x11000)) for _ in range(50_000))
    deidentifier.clean(text)


def test_folding_is_one_form_for_what_looks_the_same() -> None:
    folded = fold("Œ １２–３\u00a0e\u0301\u200b’")
    assert (folded.text, folded.bare) == ("Oe 12-3 é'", "oe 12-3 e'")
    assert folded.span(0, 2) == (0, 1)
    assert folded.span(8, 9) == (7, 9)


@pytest.mark.parametrize(
    "written",
    [
        "Lef&egrave;vre", "Le<b>f\u00e8</b>vre", "Lef&amp;#232;vre", "Lef&amp;amp;amp;amp;amp;#xe8;vre",
        "Le\x01f\u00e8vre",
        "Lef\x08\u00e8vre", "Lef\x9f\u00e8vre", "Lef\u034f\u00e8vre", "Lef\ufe00\u00e8vre", "Lef\u3164\u00e8vre",
        "Lef=C3=A8vre", "Lef\u00e8=\nvre", "Lef\\u00e8vre", "Lef\\xe8vre", "<p>Le<x>f\u00e8</x>vre</p>",
        "Le<x a=\"1\">f\u00e8vre",
        "Le<!-- x -->f\u00e8vre", "<![CDATA[Lef\u00e8vre]]>", "Le<![CDATA[f\u00e8]]>vre", "L E F \u00c8 V R E",
        "l.e.f.e.v.r.e",
        "Le&lt;b&gt;f\u00e8&lt;/b&gt;vre", "&#76;ef\u00e8vre", "\\X4C\\ef\u00e8vre", "Lefevre2", "2lefevre",
    ],
)  # fmt: skip
def test_a_known_name_goes_however_it_is_hidden(deidentifier: Deidentifier, written: str) -> None:
    for cleaned in (deidentifier.clean, deidentifier.clean_html):
        text = cleaned(f"chez {written} hier", known=["Lef\u00e8vre"]).text
        assert "[KNOWN]" in text and "vre" not in text.lower()


@pytest.mark.parametrize(
    ("written", "left"),
    [
        ("06&nbsp;12&nbsp;34&nbsp;56&nbsp;78", "[PHONE]"),
        ("12<b>/04/</b>1950", "[DATE]"),
        ("Dr&#32;Ottleymarsh", "Dr [NAME]"),
    ],
)
def test_what_has_a_form_goes_with_markup_in_it(deidentifier: Deidentifier, written: str, left: str) -> None:
    assert deidentifier.clean(f"au {written}.").text == f"au {left}."


@pytest.mark.parametrize(
    "text",
    [
        "PaO2 <60 et >50",
        "a<b",
        "x <y and z> w",
        "LDL <LOQ>",
        "FC=75bpm",
        "R&D, A&E",
        "T=37, Na =\n140",
        "-->",
        "\\o/",
    ],
)
def test_what_is_no_markup_stays(deidentifier: Deidentifier, text: str) -> None:
    assert deidentifier.clean(text).text == text


def test_a_number_of_a_character_that_is_too_long_to_read(deidentifier: Deidentifier) -> None:
    for cleaned in (deidentifier.clean, deidentifier.clean_html):
        assert cleaned("pale &#" + "9" * 6000 + "; skin").text.split() == ["pale", "skin"]


def test_many_long_known_values_take_little_time(deidentifier: Deidentifier) -> None:
    """Of other members each time, as the words of the staff are."""
    known = [f"{number:07}-{number * 7919 % 10**12:012}-ABCDEFGH{number}" * 4 for number in range(250)]
    deidentifier.clean(NOTE, known=known)
    began = time.process_time()
    for number in range(20):
        deidentifier.clean(NOTE, known=[*known, f"Zq{chr(97 + number)}rolex"])
    assert time.process_time() - began < 2


def test_narratives_give_their_text() -> None:
    html = (
        '<div xmlns="http://www.w3.org/1999/xhtml"><p>Mr <b>Ketel</b>buters &amp; fils</p>'
        '<script>var a = "<p>x</p>"</script>'
        "<table><tr><td>un</td><td>deux</td></tr></table><!-- Nom : X --> 3 < 4<br/>fin<style>p{}</style>&#233;</div>"
    )
    assert text_of(html) == "Mr Ketelbuters & fils\nun deux\n3 < 4\nfiné"


def test_narratives_are_cleaned(deidentifier: Deidentifier) -> None:
    cleaned = deidentifier.clean_html(
        "<div><p>Dr&nbsp;<i>Ketel</i>buters</p><p>le 12&#47;03&#47;2024</p></div>"
    )
    assert cleaned.text == "Dr [NAME]\nle [DATE]"


@pytest.mark.parametrize(
    "unit",
    ["<!--", "<a ", "&", "<", "<script>", "<div>", "&#", "</", "<p title='", "<![CDATA[", "<?", "a<b>"],
)
def test_markup_that_is_never_closed(unit: str) -> None:
    assert len(text_of(unit * (MANY // len(unit)))) <= MANY


def test_what_is_never_closed_is_dropped() -> None:
    assert text_of("avant <script>Nom : Ketelbuters") == "avant"
    assert text_of("avant <!-- Nom : Ketelbuters") == "avant"
    assert text_of("avant <b") == "avant"
