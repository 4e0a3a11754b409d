"""Keys of a model that mean nothing where they stand are refused, with those that were meant."""

from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from autogal.configuration.composing import compose
from autogal.configuration.overrides import several_models
from autogal.errors import AutogalError
from autogal.fitting.choices import validate_model
from autogal.model.spec import build_model

TWO = {"a": {"profile": "sersic"}, "b": {"profile": "exponential"}}


@pytest.mark.parametrize(
    ("node", "what", "remedy"),
    [
        (
            {"profile": "sersic", "bound": {"n": [1, 2]}},
            "There is no key model.bound.",
            "Did you mean model.bounds?",
        ),
        ({"profile": "sersic", "fixd": {"n": 1}}, "There is no key model.fixd.", "Did you mean model.fixed?"),
        (
            {"profile": "sersic", "prior": {"n": [2, 0.1]}},
            "There is no key model.prior.",
            "Did you mean model.priors?",
        ),
        (
            {"profile": "sersic", "boxyness": True},
            "There is no key model.boxyness.",
            "Did you mean model.boxiness?",
        ),
        (
            {"profile": "sersic", "truncated": True},
            "There is no key model.truncated.",
            "Did you mean model.truncation?",
        ),
        (
            {"profile": "sersic", "colour": None},
            "There is no key model.colour.",
            "The keys of model are: bounds, boxiness, components",
        ),
        ({"profile": "sersic", "truncation": "r_trunc"}, "truncation is r_trunc.", "true or false"),
        ({"components": TWO, "tie": {"a.n": 1}}, "There is no key model.tie.", "Did you mean model.ties?"),
        (
            {"components": TWO, "limit": ["a.n < 1"]},
            "There is no key model.limit.",
            "Did you mean model.limits?",
        ),
        (
            {"components": TWO, "truncation": True},
            "truncation stands beside the components.",
            "at one of them",
        ),
        ({"components": TWO, "boxiness": True}, "boxiness stands beside the components.", "at one of them"),
        ({"components": TWO, "fourier": [1]}, "fourier stands beside the components.", "at one of them"),
        ({"components": TWO, "profile": "sersic"}, "profile stands beside the components.", "at one of them"),
        (
            {"components": TWO | {"a": {"profile": "sersic", "bound": {}}}},
            "There is no key model.components.a.bound.",
            "Did you mean model.components.a.bounds?",
        ),
        (
            {"components": TWO | {"a": {"profile": "sersic", "sky": "tilted"}}},
            "sky stands at the component a.",
            "beside the components",
        ),
        (
            {"components": TWO | {"a": {"profile": "sersic", "ties": {"a.n": 1}}}},
            "ties stands at the component a.",
            "beside the components",
        ),
        (
            {"components": {"bulge": {"profile": "sersic"}, "buldge": {"fixed": {"n": 1}}}},
            "The component buldge has no profile.",
            "Did you mean bulge?",
        ),
        (
            {"components": {"thin disk": {"profile": "sersic"}}},
            "A component is called 'thin disk'.",
            "letters, digits and _",
        ),
        (
            {"components": {"thin.disk": {"profile": "sersic"}}},
            "A component is called 'thin.disk'.",
            "letters, digits and _",
        ),
        (
            {"components": {"bulge": "sersic"}},
            "model.components.bulge is sersic.",
            "bulge: {profile: sersic}",
        ),
        ({"components": ["sersic"]}, "model.components is ['sersic'].", "by name"),
        ({"components": {}}, "The model has no profile.", "profile: sersic"),
    ],
)
def test_keys_that_nobody_reads(node, what, remedy):
    with pytest.raises(AutogalError) as caught:
        build_model(OmegaConf.create(node))
    assert caught.value.what == what
    assert remedy in caught.value.remedy


def test_what_asks_for_nothing_may_stand_beside_components():
    model = build_model(
        OmegaConf.create(
            {"name": "mine", "components": TWO, "truncation": False, "boxiness": None, "fourier": []}
        )
    )
    assert [component.name for component in model.components] == ["a", "b"]


def test_beside_several_models_stands_nothing_of_one():
    node = compose(overrides=[*several_models(["sersic", "bulge_disk"]), "++model.sky=tilted"]).model
    with pytest.raises(AutogalError, match="model.sky is of no model: several are fitted."):
        validate_model(node)
