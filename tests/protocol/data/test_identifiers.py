from __future__ import annotations

import pytest
from sklearn.datasets import load_breast_cancer

from protocol.data.identifiers import reason_against_cells, reason_against_name


@pytest.mark.parametrize(
    "column",
    [
        "name", "Name", "NAME", "last_name", "lastName", "LastName", "surname", "Nom", "nom_de_famille",
        "prénom", "Prenom",
        "ssn", "SSN", "social security number", "NIR", "numéro de sécurité sociale", "nhs_number", "mrn",
        "MRN#", "IPP",
        "ipp_patient", "phone", "phone number", "Téléphone", "tel", "mobile", "email", "e_mail", "E-Mail",
        "courriel",
        "address", "adresse", "home address", "rue", "ville", "zip", "zipcode", "postcode", "code postal",
        "date_of_birth",
        "birth date", "birthDate", "dob", "DDN", "date de naissance", "birthday", "id", "patient_id",
        "patientId", "PatientID",
        "record_id", "identifiant", "passport", "insurance_no", "ip_address", "patient number",
        "medical record",
        "admission date", "date_of_death",
    ],
)  # fmt: skip
def test_names_of_identifiers_are_refused(column):
    assert reason_against_name(column)


@pytest.mark.parametrize(
    "column",
    [
        "age", "sex", "cp", "trestbps", "chol", "fbs", "restecg", "thalach", "exang", "oldpeak", "slope",
        "ca", "thal", "num",
        "birth_weight", "weight", "bmi", "glucose", "insulin", "systolic", "idh1_mutation", "tumor size",
        "telomere",
        "nominal", "lipid", "acid", "height", "smoker", "hba1c", "days_in_hospital", "date_offset_days",
        "diagnosis",
        *load_breast_cancer().feature_names,
    ],
)  # fmt: skip
def test_names_of_measurements_are_not(column):
    assert not reason_against_name(column)


@pytest.mark.parametrize(
    "cell",
    [
        "a.b@example.org", "1961-04-12", "12/04/1961", "12.4.1961", "1961-04-12T10:00:00", "+33 6 12 34 56 78",
        "06 12 34 56 78", "0612345678", "06.12.34.56.78", "(555) 123-4567", "0033612345678", "123-45-6789",
        "1 85 05 78 006 084 36", "185057800608436", "2850578006084", "192.168.1.10", " a@b.fr ",
    ],
)  # fmt: skip
def test_cells_that_look_like_identifiers_are_refused_unquoted(cell):
    reason = reason_against_cells(["1", "2.5", cell])
    assert reason
    assert cell.strip() not in reason


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "0",
        "1",
        "63.0",
        "-2.5",
        ".7",
        "145",
        "1e-3",
        "12345678",
        "0.1234567",
        "123456.789",
        "?",
        "male",
        "1.5e10",
    ],
)
def test_cells_of_measurements_are_not(cell):
    assert not reason_against_cells([cell])
