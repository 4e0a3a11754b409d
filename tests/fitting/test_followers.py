"""What is said of parameters that follow others: refused where nothing could keep to it, but what a
ready-made model says gives way."""

from __future__ import annotations

import pytest
import torch
from omegaconf import OmegaConf

from autogal.configuration.composing import composed
from autogal.configuration.overrides import override
from autogal.errors import AutogalError
from autogal.model.spec import build_model
from autogal.model.starts import component_starts

SINGLE = torch.tensor([[30.0, 31.0, 18.0, 5.0, 2.0, 0.6, 30.0, 0.1]], dtype=torch.float64)
ZEROPOINT = torch.tensor([25.0], dtype=torch.float64)


def two(bulge=None, disk=None, **rest):
    return {
        "components": {
            "bulge": {"profile": "sersic"} | (bulge or {}),
            "disk": {"profile": "sersic"} | (disk or {}),
        }
    } | rest


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (
            two({"bounds": {"r_eff": [1, 2]}}, ties={"bulge.r_eff": "0.25 * disk.r_eff"}),
            r"bulge_r_eff has bounds, but it follows 0.25 \* disk.r_eff",
        ),
        (
            two({"bounds": {"n": [2.5, 3]}}, ties={"bulge.n": "2 * disk.n"}),
            "bulge_n has bounds, but it follows",
        ),
        (
            {"profile": "sersic", "bounds": {"n": [0.5, 1.0]}, "ties": {"n": "2 * q"}},
            "n has bounds, but it follows",
        ),
        (
            {"profile": "sersic", "bounds": {"q": [0.3, 1.0]}, "ties": {"q": "0.3 * n"}},
            "q has bounds, but it follows",
        ),
        (
            two({"bounds": {"pa": [80, 100]}}, ties={"bulge.pa": "disk.pa"}),
            "bulge_pa has bounds, but it follows disk.pa",
        ),
        (
            two(disk={"bounds": {"x": [10, 20]}}, shared={"disk.x": "bulge.x"}),
            "disk_x has bounds, but it follows bulge_x",
        ),
        (
            two(disk={"bounds": {"n": [1, 2]}}, shared={"disk.n": "bulge.n"}),
            "disk_n has bounds, but it follows bulge_n",
        ),
        (
            two(disk={"start": {"x": 10}}, shared={"disk.x": "bulge.x"}),
            "disk_x has a start, but it follows bulge_x",
        ),
        (
            two(disk={"start": {"pa": 10}}, ties={"disk.pa": "bulge.pa"}),
            "disk_pa has a start, but it follows bulge.pa",
        ),
        (
            two(disk={"fixed": {"x": 10}}, shared={"disk.x": "bulge.x"}),
            "disk_x is both fixed and tied or shared",
        ),
        (
            two(disk={"fixed": {"n": 1}}, shared={"disk.n": "bulge.n"}),
            "disk_n is both fixed and tied or shared",
        ),
    ],
)
def test_what_cannot_be_kept_to_is_refused(node, words):
    with pytest.raises(AutogalError, match=words) as caught:
        build_model(OmegaConf.create(node))
    assert caught.value.remedy and "\n" not in caught.value.what + caught.value.remedy


def test_bounds_that_a_parameter_has_anyway_are_none():
    natural = {"bounds": {"n": [0.2, 10.0], "q": [0.01, 1.0], "r_eff": [0.05, None]}}
    model = build_model(
        OmegaConf.create(
            two(
                natural,
                natural,
                ties={"bulge.n": "2 * disk.n", "bulge.q": "disk.q", "bulge.r_eff": "0.3 * disk.r_eff"},
            )
        )
    )
    assert model.size == 2 * 7 + 1 - 3


@pytest.mark.parametrize(
    ("name", "key", "value", "free"),
    [
        ("bulge_disk", "model.ties", {"bulge.q": "disk.q", "bulge.r_eff": "0.3 * disk.r_eff"}, 4 + 6 + 1 - 2),
        (
            "bulge_disk_bar",
            "model.ties",
            {"bar.n": "0.2 * bulge.n"},
            7 + 4 + 5 + 1 - 1,
        ),  # bounds and a start in the file
        (
            "bulge_disk_bar",
            "model.ties",
            {"bar.pa": "disk.pa", "bulge.r_eff": "0.3 * bar.r_eff"},
            7 + 4 + 5 + 1 - 2,
        ),  # starts and a limit
        ("bulge_disk_bar", "model.components.bar.fixed", {"pa": 30.0}, 7 + 4 + 5 + 1 - 1),
        ("king", "model.ties", {"alpha": "2 + 0 * q"}, 8),  # which the file fixes
        ("bulge_disk", "model.shared", {"disk_x": None, "disk_y": None}, 13),
    ],
)
def test_what_a_ready_made_model_says_gives_way(name, key, value, free):
    settings = composed(f"model={name}", override(f"++{key}", value))
    model = build_model(settings.model)
    assert model.size == free
    assert torch.isfinite(component_starts(model, SINGLE, ZEROPOINT)[0]).all()


def test_but_what_the_user_adds_to_it_does_not():
    settings = composed(
        "model=bulge_disk",
        override("++model.ties", {"bulge.q": "disk.q"}),
        "model.components.bulge.bounds.q=[0.3,1]",
    )
    with pytest.raises(AutogalError, match="bulge_q has bounds, but it follows disk.q"):
        build_model(settings.model)


@pytest.mark.parametrize(
    "said", [{"ties": {"bulge.n": "2 * disk.n"}}, {"shared": {"bulge.n": "disk.n"}}], ids=["tied", "shared"]
)
def test_a_prior_on_what_follows_pulls_at_what_it_follows(said):
    model = build_model(OmegaConf.create(two({"priors": {"n": [3.0, 0.1]}}, **said)))
    free = component_starts(model, SINGLE, ZEROPOINT)[0]
    at = dict(zip(model.parameters, model.values(free, ZEROPOINT)[0], strict=True))
    expected = (torch.log10(at["bulge_n"] / 3) / 0.1) ** 2
    torch.testing.assert_close(model.prior(free)[0][0], expected)
