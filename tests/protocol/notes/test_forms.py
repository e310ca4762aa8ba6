"""What has a form: numbers, dates, contacts, addresses, ages. Every person and number here is invented."""

from __future__ import annotations

import pytest

from protocol.notes.deidentify import Deidentifier

#: Text, what goes, kind.
FOUND = [
    ("NIR : 1 85 05 78 006 084 91", "1 85 05 78 006 084 91", "NIR"),
    ("sous le 185057800608491 depuis", "185057800608491", "NIR"),
    ("sous le 1850578006084 depuis", "1850578006084", "NIR"),
    ("Corse : 2 69 03 2A 004 021 04 enfin", "2 69 03 2A 004 021 04", "NIR"),
    ("Corse : 269032B00402131 enfin", "269032B00402131", "NIR"),
    ("N° de sécurité sociale : 1.85.05.78.006.084", "1.85.05.78.006.084", "NIR"),
    ("n° SS 1 85 05 78\n006 084 91", "1 85 05 78\n006 084 91", "NIR"),
    ("NIR : 1 85 05 78 006 084 36", "1 85 05 78 006 084 36", "NIR"),  # a wrong key
    ("RPPS 10003456782", "10003456782", "RPPS"),
    ("numéro 1000 345 6786 au tampon", "1000 345 6786", "RPPS"),
    ("RPPS : 10003456789", "10003456789", "RPPS"),  # a wrong check digit
    ("ADELI 691234567", "691234567", "ADELI"),
    ("N° ADELI : 2A1234567", "2A1234567", "ADELI"),
    ("établissement 750712184 à Paris", "750712184", "FINESS"),
    ("FINESS 75 0 712184", "75 0 712184", "FINESS"),
    ("IPP : 8001234567", "8001234567", "ID"),
    ("IPP n° 1234 5678", "1234 5678", "ID"),
    ("IEP=A12345678", "A12345678", "ID"),
    ("NDA 202412345", "202412345", "ID"),
    ("Dossier n° 45-12-889", "45-12-889", "ID"),
    ("MRN: 00123456", "00123456", "ID"),
    ("MRN# 528-40-417", "528-40-417", "ID"),
    ("Hospital number: M1234567", "M1234567", "ID"),
    ("Accession number 2024-889123", "2024-889123", "ID"),
    ("passeport 12AB34567", "12AB34567", "PASSPORT"),
    ("Passport number: 705408399", "705408399", "PASSPORT"),
    ("CNI : 880692310285", "880692310285", "ID"),
    ("IBAN FR76 3000 6000 0112 3456 7890 189 du patient", "FR76 3000 6000 0112 3456 7890 189", "IBAN"),
    ("compte FR7630006000011234567890189.", "FR7630006000011234567890189", "IBAN"),
    ("IBAN: GB29 NWBK 6016 1331 9268 19", "GB29 NWBK 6016 1331 9268 19", "IBAN"),
    ("IBAN : FR76 3000 6000 0112 3456 7890 180", "FR76 3000 6000 0112 3456 7890 180", "IBAN"),  # wrong digits
    ("SSN 123-45-6789", "123-45-6789", "SSN"),
    ("on file 219-09-9998 since", "219-09-9998", "SSN"),
    ("NHS No: 943 476 5919", "943 476 5919", "NHS"),
    ("number 943-476-5919 given", "943-476-5919", "NHS"),
    ("Tél : 04 72 11 22 33.", "04 72 11 22 33", "PHONE"),
    ("au 0472112233 le soir", "0472112233", "PHONE"),
    ("au +33 (0)4.72.11.22.33", "+33 (0)4.72.11.22.33", "PHONE"),
    ("au 04\u00a072\u00a011\u00a022\u00a033", "04\u00a072\u00a011\u00a022\u00a033", "PHONE"),
    ("au 04 72 11\n22 33", "04 72 11\n22 33", "PHONE"),
    ("Fax: (555) 123-4567", "(555) 123-4567", "PHONE"),
    ("call 212-555-0187 after", "212-555-0187", "PHONE"),
    ("on 020 7946 0958 or", "020 7946 0958", "PHONE"),
    ("on 07911 123456", "07911 123456", "PHONE"),
    ("GSM 0470 12 34 56", "0470 12 34 56", "PHONE"),
    ("au 022 345 67 89 à Genève", "022 345 67 89", "PHONE"),
    ("+1 514-555-0123", "+1 514-555-0123", "PHONE"),
    ("écrire à j.dupont@exemple.fr merci", "j.dupont@exemple.fr", "EMAIL"),
    ("jean_dupont+chu@mail.example.co.uk", "jean_dupont+chu@mail.example.co.uk", "EMAIL"),
    ("jean.dupont [at] exemple [dot] fr", "jean.dupont [at] exemple [dot] fr", "EMAIL"),
    ("voir https://portail.example.org/p?id=12.", "https://portail.example.org/p?id=12", "URL"),
    ("sur www.example.com/x", "www.example.com/x", "URL"),
    ("from 192.168.12.4 at", "192.168.12.4", "IP"),
    ("from 2001:db8::2d8:1 at", "2001:db8::2d8:1", "IP"),
    ("habite 12 bis rue des Lilas, 69003 Lyon", "12 bis rue des Lilas, 69003 Lyon", "ADDRESS"),
    ("3 avenue du 8 mai 1945", "3 avenue du 8 mai 1945", "ADDRESS"),
    ("14, bd Victor Hugo\n75013 PARIS CEDEX 13", "14, bd Victor Hugo\n75013 PARIS CEDEX 13", "ADDRESS"),
    ("reçu au 5 rue Sainte-Anne appt 12", "5 rue Sainte-Anne appt 12", "ADDRESS"),
    ("at 221B Baker Street, London NW1 6XE", "221B Baker Street, London NW1 6XE", "ADDRESS"),
    ("of 40 Old Mill Road, Apt 4B", "40 Old Mill Road, Apt 4B", "ADDRESS"),
    ("1200 N Maple Ave, Salem, OR 97301", "1200 N Maple Ave, Salem, OR 97301", "ADDRESS"),
    ("P.O. Box 123", "P.O. Box 123", "ADDRESS"),
    ("a man aged 94.", "94", "AGE"),
    ("âgée de 101 ans", "101", "AGE"),
    ("this 93-year-old", "93", "AGE"),
    ("quatre-vingt-treize ans", "quatre-vingt-treize", "AGE"),
    ("ninety-three years old", "ninety-three", "AGE"),
]  # fmt: skip
DATES = [
    "12/03/2024", "12/03/24", "3/12/2024", "12-03-2024", "12.03.2024", "12 / 03 / 2024", "2024-03-12", "2024/03/12",
    "12 mars 2024", "12 Mars 2024", "12 MARS 2024", "1er janvier 2020", "1er janvier", "3 févr. 2024", "12 déc. 2023",
    "March 12, 2024", "March 12th, 2024", "12 March 2024", "12th of March", "Dec 5", "Dec. 5, 2023", "5 Dec",
    "12-Mar-2024", "12MAR2024", "mars 2024", "March 2024", "03/2024", "20240312", "mardi 12 mars", "Tuesday 12 March",
    "3 au 12 mai 2024", "12‑03‑2024", "12\u00a0mars\u00a02024", "12 mars\n2024", "12/\u200b03/2024",
    "１２/０３/２０２４", "12.IV.1950", "12/IV/50", "3 xi 2020", "12-III-1950",
]  # fmt: skip
SHORT_DATES = [
    ("le 3/5", "3/5"),
    ("du 12/03 au 15/03", "12/03 au 15/03"),
    ("seen on 4/12 with", "4/12"),
    ("12/03 : stable", "12/03"),
]
KEPT = [
    "TA 12/8, FC 72/min", "BP 130/85", "EVA 3/10", "pain 7/10", "force 4/5", "Glasgow 15/15", "vision 10/10",
    "6/12 left eye", "5 mg x 3", "Hb 13,2 g/dL", "plaquettes 250000", "en 1998", "since 2005", "à 14h30", "at 10:45",
    "17:42", "CIM-10 I21.4", "LOINC 718-7", "SNOMED CT 44054006", "DEQP003", "T2N0M0", "45 ans", "a 54-year-old",
    "38,5 °C", "1,5 L", "INR 2.5", "Covid19",
    "may 5 mg be enough", "1-0-1", "pH 7,38", "T-score -2,6", "2 cours de natation", "3 place settings",
    "G2P1", "J12",
    "stade IV 2019", "2.i.20", "3 V 20", "100 mL/h", "0,4 mL", "24/30 au MMS", "CHA2DS2-VASc 3", "10 points",
    "version 2.1", "90 mg", "95 %", "12 000/mm3",
]  # fmt: skip


def left(deidentifier: Deidentifier, text: str) -> list[tuple[str, str]]:
    return [(text[each.start : each.end], each.kind) for each in deidentifier.clean(text).spans]


@pytest.mark.parametrize(("text", "part", "kind"), FOUND)
def test_what_has_a_form_goes(deidentifier: Deidentifier, text: str, part: str, kind: str) -> None:
    assert (part, kind) in left(deidentifier, text)


@pytest.mark.parametrize("date", DATES)
@pytest.mark.parametrize("around", ["vu le {} sans plainte", "seen {} again", "{}"])
def test_dates_go(deidentifier: Deidentifier, around: str, date: str) -> None:
    cleaned = deidentifier.clean(around.format(date))
    assert cleaned.text == around.format("[DATE]").replace("vu le mardi", "vu le")
    assert cleaned.found == {"DATE": 1}


@pytest.mark.parametrize(("text", "part"), SHORT_DATES)
def test_a_day_and_a_month_go_after_a_word_that_says_so(
    deidentifier: Deidentifier, text: str, part: str
) -> None:
    gone = "".join(value for value, kind in left(deidentifier, text) if kind == "DATE")
    assert gone.replace("12/0315/03", "12/03 au 15/03") == part


@pytest.mark.parametrize("text", KEPT)
def test_measurements_and_codes_stay(deidentifier: Deidentifier, text: str) -> None:
    assert deidentifier.clean(text).text == text
    assert deidentifier.clean(f"Le patient : {text}.").text == f"Le patient : {text}."


def test_check_digits_decide_where_nothing_announces_a_number(deidentifier: Deidentifier) -> None:
    """Nine digits are a FINESS by the Luhn check alone, ten an NHS number by the remainder by 11."""
    assert left(deidentifier, "numéro 750712184") == [("750712184", "FINESS")]
    assert left(deidentifier, "numéro 750712185") == []
    assert left(deidentifier, "ref 943 476 5919") == [("943 476 5919", "NHS")]
    assert ("943 476 5918", "NHS") not in left(deidentifier, "ref 943 476 5918")


def test_an_iban_ends_where_its_check_digits_are_right(deidentifier: Deidentifier) -> None:
    text = "virement FR76 3000 6000 0112 3456 7890 189 en 2024"
    assert deidentifier.clean(text).text == "virement [IBAN] en 2024"
