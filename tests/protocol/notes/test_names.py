"""Names of people: announced, by their shape, and what is none. Every person here is invented."""

from __future__ import annotations

from pathlib import Path

import pytest

from protocol.errors import DataError
from protocol.notes.deidentify import Deidentifier
from protocol.notes.folding import plain
from protocol.notes.vocabulary import person_names, read_words

CLEANED = [
    # announced
    ("Monsieur Ketelbuters a été vu.", "Monsieur [NAME] a été vu."),
    ("M. Ketelbuters a été vu.", "M. [NAME] a été vu."),
    ("Mme Petit et Mlle Blanc", "Mme [NAME] et Mlle [NAME]"),
    ("Seen by Dr. Jane Ottley-Marsh today.", "Seen by Dr. [NAME] today."),
    ("Seen by Dr Young today.", "Seen by Dr [NAME] today."),
    ("dr ketelbuters appelé", "dr [NAME] appelé"),
    ("Adressé par le Pr O'Quigley", "Adressé par le Pr [NAME]"),
    ("Dr Jean-Pierre de la Thibaudière", "Dr [NAME]"),
    ("Mme van der Ketelbuters", "Mme [NAME]"),
    ("Prof. El Ketamri", "Prof. [NAME]"),
    ("Nom : petit", "Nom : [NAME]"),
    ("Nom : KETELBUTERS   Prénom : Zoéline", "Nom : [NAME]   Prénom : [NAME]"),
    ("Patient: Ottleymarsh, Xanthe", "Patient: [NAME]"),
    ("Patient : KETELBUTERS Zoéline", "Patient : [NAME]"),
    ("Mme Ketelbuters née Quemenet", "Mme [NAME] née [NAME]"),
    ("Signed by: Katrijn Ottleymarsh, MD", "Signed by: [NAME], MD"),
    ("Katrijn Ottleymarsh, RN", "[NAME], RN"),
    ("Vu par Ketelbuters ce jour", "Vu par [NAME] ce jour"),
    ("sa fille Zoéline est là", "sa fille [NAME] est là"),
    ("with his wife Xanthe", "with his wife [NAME]"),
    ("Cher Ketelbuters,", "Cher [NAME],"),
    ("Cordialement,\n\nZoéline Ketelbuters", "Cordialement,\n\n[NAME]"),
    ("Kind regards\n\nPoppy Flower", "Kind regards\n\n[NAME]"),
    ("Dictated by: J. Ottleymarsh", "Dictated by: [NAME]"),
    ("Smith, John was seen", "[NAME] was seen"),
    ("M. et Mme Ketelbuters", "M. et Mme [NAME]"),
    ("Ketelbuters, 45 ans, consulte", "[NAME], 45 ans, consulte"),
    ("Mme quemenet revient", "Mme [NAME] revient"),
    ("Seen by Dr ottleymarsh today", "Seen by Dr [NAME] today"),
    ("Mr rose came", "Mr [NAME] came"),
    ("Mrs jones declined", "Mrs [NAME] declined"),
    ("M. ketelbuters sort", "M. [NAME] sort"),
    ("infirmière: quemenet", "infirmière: [NAME]"),
    ("Patient: ketelbuters", "Patient: [NAME]"),
    ("the nurse xanthe called", "the nurse [NAME] called"),
    # by shape
    ("Selon Ketelbuters, la douleur cède.", "Selon [NAME], la douleur cède."),
    ("Discussed with Xanthe Ottleymarsh.", "Discussed with [NAME]."),
    ("Ketelbuters refuse l'examen.", "[NAME] refuse l'examen."),
    ("Ottleymarsh denies chest pain.", "[NAME] denies chest pain."),
    ("KETELBUTERS Zoéline\nAdmise hier.", "[NAME]\nAdmise hier."),
    ("appel de J. Ketelbuters hier", "appel de [NAME] hier"),
    ("Le fils, Zoe\u0301line Ketelbuters, appelle.", "Le fils, [NAME], appelle."),
    ("with Ke\u200btelbuters present", "with [NAME] present"),
    ("la fille de Zoéline de Quemenet", "la fille de [NAME]"),
    ("Aaron697 Ottleymarsh688 is seen.", "[NAME] is seen."),
    # once more
    ("Dr Ketelbuters.\nKetelbuters rappelle. KETELBUTERS note.", "Dr [NAME].\n[NAME] rappelle. [NAME] note."),
]  # fmt: skip
KEPT = [
    "Maladie de Parkinson, maladie de Crohn, signe de Babinski.",
    "Crohn's disease, Foley catheter, Glasgow Coma Scale 15.",
    "Syndrome de Guillain-Barré en 2011.",
    "ANTÉCÉDENTS MÉDICAUX ET CHIRURGICAUX",
    "Past Medical History: Hypertension, Asthma.",
    "PHYSICAL EXAMINATION\nHEENT: Normal.",
    "Traitement par Amoxicilline puis Metformine.",
    "Started on Zqerolex 20 mg daily.",
    "Sous Zqerolex depuis hier.",
    "Hospitalisé en Médecine Interne.",
    "Discharged home with Home Health.",
    "Cher confrère,",
    "Dear Colleague,",
    "Madame, Monsieur,",
    "The patient is a Portuguese speaker.",
    "Patient: stable.",
    "Contact: emergency department.",
    "Rendez-vous en Mars ou Avril, un Lundi.",
    "ECBU, NFS, IRM et TDM normaux.",
    "Douleur thoracique. Dyspnée. Toux.",
    "Tender abdomen. Nausea. Fever.",
    "Helicobacter pylori négatif, Staphylococcus aureus absent.",
    "Il marche. Elle dort. On poursuit.",
    "Jackson-Pratt drain, Doppler, Holter.",
    "Mr presented with chest pain.",
    "Patient: asymptomatique, apyrétique.",
    "Infirmière libérale à domicile, nurse reassured.",
]
NAMES = ["Ketelbuters", "Zoéline", "Ottleymarsh", "Xanthe", "Quemenet"]


@pytest.mark.parametrize(("text", "expected"), CLEANED)
def test_names_go(deidentifier: Deidentifier, text: str, expected: str) -> None:
    assert deidentifier.clean(text).text == expected


@pytest.mark.parametrize("text", KEPT)
def test_words_of_medicine_and_of_the_language_stay(deidentifier: Deidentifier, text: str) -> None:
    assert deidentifier.clean(text).text == text


@pytest.mark.parametrize("name", NAMES)
def test_the_names_of_these_tests_are_in_no_list(name: str) -> None:
    """Otherwise the tests above would show that lists are read, and nothing of shapes."""
    assert plain(name) not in person_names()


def test_known_names_and_numbers_go_without_case_and_accents(deidentifier: Deidentifier) -> None:
    text = "hopital : garcia marquez; GARCÍA-MÁRQUEZ; Jose\u0301; dossier 4471 902 et ana."
    cleaned = deidentifier.clean(text, known=["García Márquez", "José", "4471902", "Ana"])
    assert cleaned.text == "hopital : [KNOWN]; [KNOWN]; [KNOWN]; dossier [KNOWN] et [KNOWN]."


def test_a_made_patients_name_is_known_without_its_number(deidentifier: Deidentifier) -> None:
    cleaned = deidentifier.clean("aaron va bien, AARON697 aussi", known=["Aaron697"])
    assert cleaned.text == "[KNOWN] va bien, [KNOWN] aussi"


def test_known_values_are_found_as_whole_words_only(deidentifier: Deidentifier) -> None:
    text = "anatomie normale, le 44719025 reste"
    assert deidentifier.clean(text, known=["Ana", "4471902", "", "—"]).text == text


def test_a_hospitals_own_words(tmp_path: Path) -> None:
    names, terms = tmp_path / "names.txt", tmp_path / "terms.txt"
    names.write_text("# staff\nBonjoly Maison\n\n", encoding="utf-8")
    terms.write_text("Zqerolux  # a ward\n", encoding="utf-8")
    text = "Vu en Zqerolux avec Maison ce jour."
    assert Deidentifier().clean(text).text == "Vu en [NAME] avec Maison ce jour."
    own = Deidentifier(names=read_words(names), terms=read_words(terms))
    assert own.clean(text).text == "Vu en Zqerolux avec [NAME] ce jour."


def test_a_list_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes(b"Dupont\xff\n")
    with pytest.raises(DataError, match=r"names\.txt") as caught:
        read_words(path)
    assert "Dupont" not in str(caught.value)
    assert caught.value.__cause__ is None
