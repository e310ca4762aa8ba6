"""Pictures as a device would send them: they pass de-identification, and come out as they were."""

from __future__ import annotations

import numpy as np
import pytest

from protocol.imaging.deidentify import deidentify
from protocol.imaging.device import ultrasound
from protocol.imaging.text import Found
from tests.protocol.imaging import made


class NoText:
    def find(self, _picture: np.ndarray) -> list[Found]:
        return []


PARTICULARS = {
    "patient_id": made.PATIENT, "patient_name": made.NAME, "born": made.BORN, "examined": made.EXAMINED,
}  # fmt: skip


@pytest.mark.parametrize("shape", [(28, 28), (27, 31), (224, 224)])
def test_a_picture_survives_deidentification_and_the_patients_particulars_do_not(shape):
    picture = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    clean = deidentify(ultrasound(picture, **PARTICULARS), made.PSEUDONYMS, NoText())
    assert np.array_equal(made.opened(clean.content).pixel_array, picture)
    assert clean.pixels.blanked == 0
    for particular in PARTICULARS.values():
        assert particular.encode() not in clean.content


def test_the_same_picture_of_the_same_patient_is_the_same_file():
    picture, other = np.zeros((28, 28), np.uint8), np.ones((28, 28), np.uint8)
    first = ultrasound(picture, **PARTICULARS)
    assert first == ultrasound(picture, **PARTICULARS)
    uids = {
        str(made.opened(each).SOPInstanceUID)
        for each in (first, ultrasound(other, **PARTICULARS), ultrasound(picture, patient_id="other"))
    }
    assert len(uids) == 3


def test_what_it_says_of_itself_is_a_breast_in_ultrasound():
    sent = made.opened(ultrasound(np.zeros((28, 30), np.uint8), **PARTICULARS))
    assert (sent.Modality, sent.BodyPartExamined) == ("US", "BREAST")
    region = sent.SequenceOfUltrasoundRegions[0]
    assert (region.RegionLocationMaxX1, region.RegionLocationMaxY1) == (29, 27)
