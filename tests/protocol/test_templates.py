"""The packaged job specs to start from."""

from __future__ import annotations

import pytest

from protocol import templates
from protocol.data.images import ImageSchema
from protocol.errors import InvalidInput, SpecError
from protocol.learning import zoo
from protocol.learning.train import initial_state
from protocol.templates import Template

DIGESTS = {"base_cid": b"\x01" * 32, "base_root": b"\x02" * 32}


def schema(inputs: int) -> dict:
    column = {"type": "number", "centre": 0, "scale": 1}
    return {
        "kind": "tabular",
        "name": "numbers",
        "columns": [{"name": f"x{number}", **column} for number in range(inputs)],
        "label": {"name": "y", "positive": "> 0"},
    }


def fitting(template: Template) -> dict:
    """A schema of what the template's model takes."""
    if template.model.architecture == "cnn":
        return ImageSchema.packaged("breast-ultrasound").to_dict()
    return schema(template.model.parameters["inputs"])


def test_every_data_set_has_one():
    assert templates.names() == ["breast-cancer", "breast-ultrasound", "heart-disease", "prediabetes"]


@pytest.mark.parametrize("name", templates.names())
def test_a_template_completes_to_a_sound_spec(name):
    template = Template.load(name)
    spec = template.complete(**DIGESTS, schema=fitting(template), retain_until=2_000_000_000)
    assert (spec.base.cid, spec.base.root) == (DIGESTS["base_cid"], DIGESTS["base_root"])
    assert (spec.model, spec.state, spec.training.seed) == (template.model, template.state, template.seed)
    lanes = zoo.layout(template.model, template.state).lanes
    assert initial_state(template.model, template.state, template.seed).shape == (lanes,)


def test_a_change_replaces_a_field_and_leaves_the_template_alone():
    template = Template.load("heart-disease")
    spec = template.complete(**DIGESTS, schema=schema(13), retain_until=2_000_000_000, rounds=3)
    assert spec.rounds == 3
    assert template.document["rounds"] != 3


def test_a_schema_of_another_width_is_refused():
    with pytest.raises(SpecError, match="12 numbers"):
        Template.load("heart-disease").complete(**DIGESTS, schema=schema(12), retain_until=2_000_000_000)


@pytest.mark.parametrize("name", ["diabetes", "../../errors", ""])
def test_an_unknown_template_is_refused_with_those_there_are(name):
    with pytest.raises(InvalidInput, match="breast-cancer, breast-ultrasound, heart-disease"):
        Template.load(name)
