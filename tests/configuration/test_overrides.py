"""What users write of models and groups, in Python or on the command line, is what Hydra does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml

import autogal
from autogal.configuration.composing import compose, composed
from autogal.configuration.overrides import normalise_overrides, override
from autogal.errors import AutogalError
from autogal.fitting.choices import build_solver
from autogal.model.spec import build_model, model_overrides


def roundness(disk_q):
    return torch.sqrt(disk_q)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["model.fixed.n=1"], ["++model.fixed.n=1"]),
        (["model.components.bulge.bounds.n=[1,3]"], ["++model.components.bulge.bounds.n=[1,3]"]),
        (["model.models.sersic.limits=['n < 2']"], ["++model.models.sersic.limits=['n < 2']"]),
        (["model.fixed.n=1,2"], ["++model.fixed.n=1,2"]),
        (
            ["+model.fixed.n=1", "++model.fixed.n=1", "~model.priors.n", "~model"],
            ["+model.fixed.n=1", "++model.fixed.n=1", "~model.priors.n", "~model"],
        ),
        (
            ["model.fixd.n=1", "model.component.bulge.fixed.n=1", "model.profile=king"],
            ["model.fixd.n=1", "model.component.bulge.fixed.n=1", "model.profile=king"],
        ),
        (["solver={name: adam, max_iterations: 50}"], ["solver=adam", "solver.max_iterations=50"]),
        (["solver={max_iterations: 50}"], ["solver.max_iterations=50"]),
        (["model={name: bulge_disk, sky: tilted}"], ["model=bulge_disk", "++model.sky=tilted"]),
        (["survey={name: sdss, band: g}"], ["survey=sdss", "survey.band=g"]),
        (["survey={name: mine, band: g}"], ["survey.name=mine", "survey.band=g"]),
        (["survey={name: mine}"], ["survey=mine"]),
        (["psf={path: a.fits}", "a b", "out=("], ["psf={path: a.fits}", "a b", "out=("]),
    ],
)
def test_what_is_meant(words, expected):
    assert normalise_overrides(words) == expected


@pytest.mark.parametrize(
    ("words", "name", "at"),
    [
        (["model.fixed.n=1"], "n", "fixed"),
        (["model={fixed: {n: 1}}"], "n", "fixed"),
        (["model.priors.r_eff={normal: [3, 0.1]}"], "r_eff", "priors"),
        (["model.priors.mag={normal: [-7, 0.1]}"], "mag", "priors"),
        (["model.start.n=3"], "n", "starts"),
        (["model.bounds.mag=[10, 12]"], "mag", "bounds"),
        (["model.ties.n=2*q"], "n", "ties"),
        (["model=bulge_disk", "model.ties={bulge.pa: disk.pa}"], "bulge_pa", "ties"),
        (["model=bulge_disk", "model.ties.bulge.pa=disk.pa"], "bulge_pa", "ties"),
        (
            ["model=bulge_disk", "model.components.bulge.profile=sersic", "model.components.bulge.start.n=2"],
            "bulge_n",
            "starts",
        ),
        (["model=bulge_disk", "model.components.disk.fixed.q=0.5"], "disk_q", "ties"),
    ],
)
def test_constraints_that_the_files_do_not_have(words, name, at):
    model = build_model(compose(overrides=words).model)
    if (at, name) == ("fixed", "n"):
        assert model.components[0].fixed == {"n": 1.0}
    else:
        assert name in getattr(model.constraints, at)


def test_limits_and_shapes_that_the_files_do_not_have():
    for word in ("model.limits=['n<1.2']", "model.limits='n<1.2'"):
        model = build_model(compose(overrides=[word]).model)
        assert [limit.name for limit in model.constraints.limits] == ["n"]
    words = [
        "model=bulge_disk",
        "model.components.disk.truncation=true",
        "model.components.bulge.boxiness=true",
        "model.components.disk.fourier=[1]",
    ]
    model = build_model(compose(overrides=words).model)
    assert {"disk_r_trunc", "bulge_c0", "disk_am1"} <= set(model.parameters)


@pytest.mark.parametrize(
    ("words", "what", "remedy"),
    [
        (["model.fixed.r_ef=1"], "r_ef cannot be fixed at 1.0.", "Did you mean r_eff? These can: x, y, mag"),
        (["model.bounds.r_ef=[1,2]"], "There are bounds on r_ef", "Did you mean r_eff?"),
        (["model.priors.nn=null"], "priors has null for nn", "The component has x, y"),
        (
            ["model=bulge_disk", "model.components.buldge.fixed.q=1"],
            "The component buldge has no profile.",
            "Did you mean bulge?",
        ),
        (
            ["model=bulge_disk", "model.components.bulge.bounds.r_ef=[1,2]"],
            "There are bounds on bulge_r_ef",
            "Did you mean r_eff?",
        ),
        (
            ["model=bulge_disk", "model.bounds.n=[1,2]"],
            "bounds of n stands beside the components.",
            "Write it at one of them",
        ),
        (
            ["model=bulge_disk", "model.boxiness=true"],
            "boxiness stands beside the components.",
            "Write it at one of them",
        ),
        (
            ["model=bulge_disk", "model.ties.buldge.pa=disk.pa"],
            "buldge_pa follows disk.pa, but there is no parameter buldge_pa.",
            "There are",
        ),
        (
            ["model=bulge_disk", "model.shared.disk_z=null"],
            "There is no parameter disk_z.",
            "Did you mean disk_",
        ),
        (
            ["model=bulge_disk", "model.shared={disk.pa: bulge.pa}"],
            "'disk_pa' cannot be shared.",
            "Write it in ties, as ties: {disk_pa: bulge_pa}.",
        ),
        (["model.limits={n: 2}"], "limits is {'n': 2}.", "Give a list"),
        (["model.fixed.sky_dx=0"], "sky_dx cannot be fixed at 0.0.", "take sky: tilted"),
        (["model=5"], "model=5 is not possible.", "Give a name"),
        (["solver=null"], "solver=null is not possible.", "Give a name"),
        (["model.ties=[n]"], "ties is ['n'].", "by parameter"),
        (["model.fixed=3"], "fixed is 3.", "by parameter"),
        (
            ["model=edge_on", "model.boxiness=true"],
            "The profile edge_on can have no boxiness",
            "elliptical isophotes",
        ),
        (["model.fixd={n: 1}"], "There is no key model.fixd.", "Did you mean model.fixed?"),
        (["model={fixd: {n: 1}}"], "There is no key model.fixd.", "Did you mean model.fixed?"),
        (["model={name: sersik, fixed: {n: 1}}"], "There is no model called sersik.", "Did you mean sersic?"),
        (
            ["likelihood={name: student_y, dof: 3}"],
            "There is no likelihood called student_y.",
            "Did you mean student_t?",
        ),
        (
            ["likelihood={name: student_t, dog: 3}"],
            "There is no key likelihood.dog.",
            "Did you mean likelihood.dof?",
        ),
        (["model.colours.bulge.pa=disk.pa"], "There is no key model.colours", ""),
    ],
)
def test_what_is_misspelt_is_explained(words, what, remedy):
    with pytest.raises(AutogalError) as caught:
        build_model(compose(overrides=words).model)
    assert caught.value.what.startswith(what)
    assert remedy in caught.value.remedy and "psf.path" not in caught.value.remedy


@pytest.mark.parametrize(
    ("word", "remedy"),
    [("start=run1/catalogue.fits", "the manifest has starting values"), ("images=a.fits", "without a key")],
)
def test_arguments_of_python_have_another_form_on_the_command_line(word, remedy):
    with pytest.raises(AutogalError) as caught:
        compose(overrides=[word])
    assert remedy in caught.value.remedy and "Did you mean" not in caught.value.remedy


@pytest.mark.parametrize(
    ("words", "what", "remedy"),
    [
        (
            ["solver.name=adam"],
            "The solver adam does not take these settings: damping.",
            "solver=adam chooses all of it",
        ),
        (
            ["+solver.max_iteration=9"],
            "The solver lm does not take these settings: max_iteration.",
            "Did you mean solver.max_iterations?",
        ),
    ],
)
def test_settings_of_another_solver(words, what, remedy):
    with pytest.raises(AutogalError) as caught:
        build_solver(compose(overrides=words).solver)
    assert caught.value.what == what and remedy in caught.value.remedy


def test_mappings_choose_their_group_first():
    assert compose(overrides=[override("likelihood", {"name": "student_t", "dof": 3.0})]).likelihood.dof == 3
    assert (
        compose(
            overrides=[override("uncertainty", {"name": "both", "replicates": 20})]
        ).uncertainty.replicates
        == 20
    )
    solver = compose(overrides=[override("solver", {"name": "adam", "max_iterations": 50})]).solver
    assert (solver.max_iterations, solver.learning_rate, "damping" in solver) == (50, 0.02, False)


def test_functions_as_ties_by_keyword_and_of_a_named_model():
    for words in (
        [*model_overrides("bulge_disk"), override("model.ties", {"bulge.q": roundness})],
        model_overrides({"name": "bulge_disk", "ties": {"bulge.q": roundness}}),
    ):
        assert build_model(composed(*words).model).constraints.ties["bulge_q"].names == ("disk_q",)


def test_in_python_and_on_the_command_line(autogal_command, tmp_path):
    image = np.random.default_rng(1).normal(0.0, 1.0, (24, 24))
    image[8:16, 8:16] += 50
    psf = np.array([[0.05, 0.1, 0.05], [0.1, 0.4, 0.1], [0.05, 0.1, 0.05]])
    given = {"sigma": 1.0, "psf": psf, "zeropoint": 25.0, "segment": "none", "neighbours": "mask"}
    for said in ({"model": "sersic", "model.fixed": {"n": 1}}, {"model": {"fixed": {"n": 1}}}):
        table = autogal.fit([image], **given, **said).table
        assert table["status"][0] in ("converged", "not_converged") and table["n"][0] == pytest.approx(1.0)
    done = autogal_command(
        "fit",
        "--cfg",
        "job",
        "model=bulge_disk",
        "model.components.bulge.profile=sersic",
        "model.components.bulge.fixed.n=2",
        "model.ties={bulge.pa: disk.pa}",
        "model.limits=['bulge.r_eff<disk.r_eff']",
        "solver={name: adam, max_iterations: 50}",
    )
    assert done.returncode == 0, done.stderr
    shown = yaml.safe_load(done.stdout)
    assert shown["model"]["components"]["bulge"]["fixed"] == {"n": 2} and shown["model"]["ties"] == {
        "bulge.pa": "disk.pa"
    }
    assert shown["model"]["limits"] == ["bulge.r_eff<disk.r_eff"] and shown["solver"]["name"] == "adam"
