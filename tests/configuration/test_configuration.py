"""The configuration: composed as on the command line, wrong values explained."""

from __future__ import annotations

import math
import warnings

import hydra
import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError

from autogal.configuration.composing import compose, known_keys
from autogal.configuration.overrides import override
from autogal.configuration.schemas import SurveyFacts
from autogal.errors import AutogalError, did_you_mean

SURVEYS = ("none", "sdss", "desi", "hst_acs", "euclid_vis", "hsc", "lsst", "kids", "jwst_nircam")


def test_the_defaults():
    settings = compose()
    assert settings.out == "autogal_run"
    assert (settings.solver.name, settings.segment.name, settings.initialise.name, settings.survey.name) == (
        "lm",
        "maskrcnn",
        "resnet50",
        "none",
    )
    assert settings.psf == {"path": None, "kind": "effective", "oversample": None}
    with pytest.raises(ConfigAttributeError):
        _ = settings.solvr


def test_overrides_change_values_and_groups():
    settings = compose(overrides=["solver=adam", "solver.learning_rate=0.1", "threads=2", "psf.path=a.fits"])
    assert (settings.solver.name, settings.solver.learning_rate) == ("adam", 0.1)
    assert (settings.threads, settings.psf.path) == (2, "a.fits")


@pytest.mark.parametrize("group", ["model", "likelihood", "solver", "uncertainty", "segment", "initialise"])
def test_every_choice_of_every_group_composes(group, repository):
    choices = [path.stem for path in (repository / "conf" / group).glob("*.yaml")]
    assert choices
    for choice in choices:
        assert compose(overrides=[f"{group}={choice}"])[group].name == choice


@pytest.mark.parametrize("survey", SURVEYS)
def test_surveys_are_plausible(survey):
    facts = compose(overrides=[f"survey={survey}"]).survey
    assert facts.name == survey
    if survey == "none":
        assert all(value is None for key, value in facts.items() if key != "name")
        return
    assert 1.4 < facts.psf_fwhm / facts.pixel_scale < 6.0
    bright, faint = facts.magnitude
    assert 3 < faint - bright < 10
    # A galaxy of 1 arcsec at the faint end can be measured, and could not be much fainter.
    pixels = 2.266 * (1.0 + facts.psf_fwhm**2) / facts.pixel_scale**2
    snr = 10 ** (0.4 * (facts.zeropoint - faint)) / (facts.sky_sigma * pixels**0.5)
    assert 5 < snr < 100
    if facts.gain is not None:  # the noise is the sky's own: its brightness follows, in mag/arcsec2
        sky = facts.zeropoint - 2.5 * math.log10(facts.gain * facts.sky_sigma**2 / facts.pixel_scale**2)
        assert 19.0 < sky < 23.5


def test_every_number_of_a_survey_has_its_origin(repository):
    for path in (repository / "conf" / "survey").glob("*.yaml"):
        for line in path.read_text().splitlines():
            key = line.partition(":")[0]
            if key in SurveyFacts.__dataclass_fields__ and key not in ("name", "band"):
                assert "# " in line, f"{path.name}: {key}"
        assert set(yaml.safe_load(path.read_text())) <= set(SurveyFacts.__dataclass_fields__)


@pytest.mark.parametrize(
    ("given", "what", "remedy"),
    [
        ("solvr=lm", "There is no key solvr.", "Did you mean solver?"),
        (
            "solver=lmm",
            "There is no solver called lmm.",
            "Did you mean lm? The choices are: adam, de, lbfgs, lm, nelder_mead.",
        ),
        ("survey=lofar", "There is no survey called lofar.", "The choices are: desi, "),
        (
            "solver.max_iteratins=3",
            "There is no key solver.max_iteratins.",
            "Did you mean solver.max_iterations?",
        ),
        ("max_iterations=3", "There is no key max_iterations.", "Did you mean solver.max_iterations?"),
        ("psf.knd=optical", "There is no key psf.knd.", "Did you mean psf.kind?"),
        ("survey.pixelscale=3", "There is no key survey.pixelscale.", "Did you mean survey.pixel_scale?"),
        ("solver.colour=1", "There is no key solver.colour.", "The keys of solver are: name, max_iterations"),
        ("xyzzy=1", "There is no key xyzzy.", "--cfg job"),
        ("a=1.fits", "There is no key a.", "If a=1.fits is a file: there is none of that name here."),
        ("pfs=psf.fits", "There is no key pfs.", "Did you mean psf? If pfs=psf.fits is a file"),
        ("hydra.sweep.dirr=x", "There is no key hydra.sweep.dirr.", "Did you mean hydra.sweep.dir?"),
        ("block=many", "block=many is not a whole number.", "Give block a whole number"),
        (
            "survey.pixel_scale=wide",
            "survey.pixel_scale=wide is not a number.",
            "Give survey.pixel_scale a number",
        ),
        ("psf=3", "psf cannot be a single value.", "psf.path, psf.kind, psf.oversample"),
        ("solver=lm,adam", "solver=lm,adam has several values.", "Add -m"),
        ("+survey=sdss", "survey is given twice.", "without the +"),
        ("out=${nope}", "Interpolation key 'nope' not found.", "--cfg job"),
        ("out=(", "The value of out=( cannot be read.", "Quote it twice"),
        ("a b.fits", "a b.fits is neither a file nor key=value.", "put it after --"),
        ("block=0", "block=0 is not possible.", "above zero"),
        ("psf.oversample=-1", "psf.oversample=-1 is not possible.", "above zero"),
        ("dtype=float16", "dtype=float16 is not possible.", "Choose one of: float32, float64."),
        ("psf.kind=optial", "psf.kind=optial is not possible.", "Choose one of: effective, optical."),
        ("objects.fits=maybe", "objects.fits=maybe is not possible.", "Choose one of: true, false, auto."),
        ("device=gpu", "device=gpu is not possible.", "Choose auto, cpu, cuda or cuda:1."),
        (
            "solver.max_iterations=ten",
            "solver.max_iterations=ten is not possible.",
            "Give a whole number; the default is 60.",
        ),
        ("solver.max_iterations=2.5", "solver.max_iterations=2.5 is not possible.", "Give a whole number"),
        ("segment.grow=null", "segment.grow=None is not possible.", "Give a number; the default is 1.0."),
        ("uncertainty.scale_by_chi2=1", "uncertainty.scale_by_chi2=1 is not possible.", "Give true or false"),
        ("+segment.grwo=2", "There is no key segment.grwo.", "Did you mean segment.grow?"),
        (
            "+initialise.colour=2",
            "There is no key initialise.colour.",
            "The keys of initialise are: name, checkpoints",
        ),
        ("~solver", "solver has no name.", "Choose one, as solver=..."),
        ("out=", "out= is empty.", "Name the folder"),
    ],
)
def test_wrong_settings_are_explained(given, what, remedy):
    with pytest.raises(AutogalError) as caught:
        compose(overrides=[given])
    assert caught.value.what == what
    assert remedy in caught.value.remedy
    assert "\n" not in caught.value.what + caught.value.remedy


@pytest.mark.parametrize(
    "given",
    ["solver.tolerance=1", "segment.grow=2", "uncertainty.scale_by_chi2=true", "solver.max_iterations=5"],
)
def test_numbers_of_groups_are_taken(given):
    key, _, value = given.partition("=")
    assert str(OmegaConf.select(compose(overrides=[given]), key)).lower() == value


def test_a_wrong_key_in_a_users_survey_is_explained(tmp_path):
    (tmp_path / "survey").mkdir()
    (tmp_path / "survey" / "mine.yaml").write_text("name: mine\npixelscale: 0.2\n")
    with pytest.raises(AutogalError) as caught:
        compose(overrides=["survey=mine", f"hydra.searchpath=[file://{tmp_path}]"])
    assert caught.value.what == "There is no key survey.pixelscale."
    assert caught.value.remedy == "Did you mean survey.pixel_scale?"


def test_a_users_method_group_may_hold_what_it_likes(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").write_text("name: mine\nsomething: {of: my own}\n")
    settings = compose(overrides=["model=mine", f"hydra.searchpath=[file://{tmp_path}]"])
    assert settings.model.something.of == "my own"


def test_compose_inside_another_hydra_application():
    with hydra.initialize_config_module("hydra.conf", version_base="1.2"):
        outer = GlobalHydra.instance().hydra
        assert compose(overrides=["solver=adam"]).solver.name == "adam"
        with pytest.raises(AutogalError):
            compose(overrides=["solvr=adam"])
        assert GlobalHydra.instance().hydra is outer
        assert hydra.version.base_at_least("1.2") and not hydra.version.base_at_least("1.3")
    assert not GlobalHydra.instance().is_initialized()


def test_compose_is_quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert override("out", "a") == "out=a"
        assert compose().out == compose().out


@pytest.mark.parametrize(
    "value",
    [
        "a b.fits",
        "a=1.fits",
        "a.fits[SCI,1]",
        "x,y",
        "it's",
        'say "so"',
        "~x",
        "#1",
        "(1)",
        "tail\\",
        "back\\'slash",
        "a:b",
        "{a}",
        "@list",
    ],
)
def test_awkward_words_survive_as_overrides(value):
    assert compose(overrides=[override("out", value)]).out == value


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        (50, 50),
        ("50", 50),
        (0.25, 0.25),
        (1e-7, 1e-7),
        (True, True),
        (None, None),
        ("null", None),
        ([1, "a b", None], [1, "a b", None]),
        ({"n": [0.2, None]}, {"n": [0.2, None]}),
        ((1, 2), [1, 2]),
    ],
)
def test_python_values_survive_as_overrides(value, meaning):
    assert OverridesParser.create().parse_override(override("key", value)).value() == meaning


def test_known_keys_are_dotted():
    keys = known_keys()
    assert {"out", "psf", "psf.kind", "solver.max_iterations", "survey.pixel_scale", "model.bounds.n"} <= set(
        keys
    )
    assert len(keys) == len(set(keys))


def test_did_you_mean_prefers_the_exact_end():
    assert did_you_mean("kind", ["kin", "psf.kind"]) == "psf.kind"
    assert did_you_mean("treshold", ["segment.threshold", "threads"]) == "segment.threshold"
    assert did_you_mean("zzzz", ["segment.threshold"]) is None


def test_the_whole_configuration_resolves():
    text = OmegaConf.to_yaml(compose(), resolve=True)
    assert "???" not in text and "${" not in text
