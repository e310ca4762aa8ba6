"""How much of what was planted is found: a small sample, drawn from a seed. `make bench` takes a larger one."""

from __future__ import annotations

import numpy as np
import pytest

from protocol.imaging import instances
from protocol.imaging.deidentify import deidentify
from protocol.imaging.text import RapidOcr
from tests.protocol.imaging import planted
from tests.protocol.imaging.made import PSEUDONYMS, file, opened
from tests.protocol.imaging.test_headers import NoText

INSTANCES, PICTURES, CINES, FRAMES = 25, 15, 3, 5


@pytest.fixture(scope="module")
def tags() -> tuple[int, list[planted.Tagged], set[str]]:
    """How many identifiers were planted in attributes, those that are left, and the kinds of places."""
    count, left, kinds = 0, [], set()
    for seed in range(INSTANCES):
        draw = np.random.default_rng(seed)
        with instances.in_silence():
            dataset, places = planted.tagged(draw, planted.Person.drawn(draw))
            content = file(dataset)
            source = opened(content)
            assert [each for each in places if not each.survives(source)] == [], "all were planted"
            result = opened(deidentify(content, PSEUDONYMS, NoText()).content)
            left += [each for each in places if each.survives(result)]
        count += len(places)
        kinds |= {each.kind for each in places}
    return count, left, kinds


@pytest.fixture(scope="module")
def pixels() -> planted.Score:
    """Single frames of all photometric interpretations, and cines with text in all frames or in one."""
    score, ocr = planted.Score(), RapidOcr()
    for seed in range(PICTURES + CINES):
        draw = np.random.default_rng(seed)
        photometric = planted.PHOTOMETRICS[seed % len(planted.PHOTOMETRICS)]
        picture = planted.picture(
            draw,
            frames=1 if seed < PICTURES else FRAMES,
            alone=bool(seed % 2),
            grey=photometric.startswith("MONOCHROME"),
        )
        score.add(picture, deidentify(file(picture.dataset(photometric)), PSEUDONYMS, ocr))
    return score


def test_identifiers_in_attributes_go(tags: tuple[int, list[planted.Tagged], set[str]]) -> None:
    count, left, kinds = tags
    assert count > 3_000 and kinds == {"tags", "private", "nested"}
    assert len(left) <= 0.001 * count, left


def test_no_pixel_stays_outside_of_the_regions(pixels: planted.Score) -> None:
    assert pixels.outside > 1_000_000
    assert pixels.outside_left == 0


def test_identifiers_inside_of_the_regions_are_masked(pixels: planted.Score) -> None:
    """Capitals of 10 to 40 pixels, 96 grey levels and more apart from the mean of the speckle beneath."""
    assert pixels.planted > 70
    assert pixels.recall >= 0.97, pixels.missed


def test_hardly_a_pixel_is_masked_in_vain(pixels: planted.Score) -> None:
    assert pixels.share_in_vain <= 0.01


def test_the_text_stands_out_as_it_is_said_to() -> None:
    """By what the generator shows, not by what it meant to draw."""
    for seed in range(3):
        picture = planted.picture(np.random.default_rng(seed), grey=True)
        light = picture.frames[0].mean(axis=-1)
        for each in picture.inside:
            box = each.box
            beneath = light[box.rows, box.columns][~each.ink[box.rows, box.columns]]
            assert abs(np.median(light[each.ink]) - np.median(beneath)) >= planted.CONTRAST / 2
            assert box.bottom - box.top >= planted.HEIGHTS[0] - 2
