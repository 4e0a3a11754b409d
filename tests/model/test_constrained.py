"""Models with ties, limits, bounds and priors: what the solver moves, and what it is told."""

import math

import pytest
import torch

from autogal.configuration.composing import composed
from autogal.errors import AutogalError
from autogal.model import Model
from autogal.model.constrained import ConstrainedModel
from autogal.model.spec import build_model, model_overrides
from autogal.model.starts import component_starts
from autogal.model.units import Units

ZEROPOINT = torch.tensor([25.0, 26.0], dtype=torch.float64)
SINGLE = torch.tensor(
    [[30.0, 31.0, 18.0, 5.0, 2.0, 0.6, 30.0, 0.1], [20.0, 31.0, 17.0, 3.0, 1.0, 0.4, 130.0, 0.1]],
    dtype=torch.float64,
)
UNITS = Units(
    ZEROPOINT, torch.tensor([2.0, 3.0], dtype=torch.float64), torch.tensor([100.0, 99.0], dtype=torch.float64)
)
ITEMS = torch.arange(2)
CENTRE = {"disk.x": "bulge.x", "disk.y": "bulge.y"}
EVERYTHING = {
    "bulge": {
        "bounds": {"r_eff": [0.05, None]},
        "priors": {"n": [2, 0.35], "q": [1, 0.43], "r_eff": {"normal": [2, 1]}},
    },
    "disk": {
        "start": {"h": "r_eff / 1.7"},
        "bounds": {"h": [0.1, 50]},
        "priors": {"pa": {"normal": [50, 10]}, "h": [2, 0.5]},
    },
    "ties": {"disk.r_eff": "1.678 * disk.h", "bulge.pa": "disk.pa + 10"},
    "limits": ["bulge.r_eff < disk.r_eff", "bulge.mag > disk.mag"],
    "priors": {"size_ratio": [0.3, 0.3]},
}


def model(bulge=None, disk=None, shared=CENTRE, **rest) -> Model:
    node = {
        "components": {
            "bulge": {"profile": "sersic"} | (bulge or {}),
            "disk": {"profile": "exponential"} | (disk or {}),
        },
        "shared": shared,
    } | rest
    return build_model(composed(*model_overrides(node)).model)


def named(of, free):
    return dict(zip(of.parameters, of.values(free, ZEROPOINT).unbind(-1), strict=True))


MODELS = {
    "everything": EVERYTHING,
    "magnitudes": {"ties": {"disk.mag": "bulge.mag - 0.5 * bulge.n"}, "sky": "tilted"},
    "both sides": {
        "limits": ["0.1 * disk.r_eff < bulge.r_eff < disk.r_eff", "bulge.q > disk.q", "disk.x > bulge.x - 1"],
        "shared": {},
    },
    "fixed": {
        "disk": {"fixed": {"q": 0.5, "pa": 30.0, "x": 31.0}},
        "bulge": {"fixed": {"n": 4.0}, "bounds": {"q": [0.3, 0.9]}},
        "shared": {},
    },
    "own bounds": {
        "bulge": {"bounds": {"r_eff": [1.0, 4.0], "pa": [20.0, 170.0], "x": [19.0, 32.0]}},
        "disk": {"truncation": True},
    },
    "contours": {
        "bulge": {"boxiness": True, "fourier": [1], "priors": {"c0": {"normal": [0, 0.2]}}},
        "disk": {"boxiness": True, "fourier": [1, 3], "bounds": {"c0": [-0.5, 0.5], "am1": [0.0, 0.3]}},
        "ties": {"bulge.pm1": "disk.pm1 + 20"},
        "limits": ["bulge.c0 < disk.c0"],
    },
    "image": {
        "bulge": {"priors": {"mag": {"normal": [18.5, 0.1]}}},
        "disk": {"fixed": {"mag": 18.0, "n": "start"}, "profile": "sersic"},
        "priors": {"sky": {"normal": [100.0, 5.0]}},
        "bounds": {"sky": [90.0, 120.0]},
    },
    "magnitudes of both": {
        "bulge": {"bounds": {"mag": [15.0, 21.0]}},
        "disk": {"priors": {"mag": {"normal": [18.0, 0.2]}}, "fixed": {"q": "start"}},
        "ties": {"disk.mag": "bulge.mag + 1"},
        "fixed": {"sky": "start"},
    },
}


@pytest.mark.parametrize("said", MODELS.values(), ids=MODELS)
def test_derivatives_are_those_by_differences(said):
    of = model(**said)
    assert isinstance(of, ConstrainedModel)
    for free in component_starts(of, SINGLE, ZEROPOINT)[:2]:
        free = free + 0.01
        values, slope, pull = of.values_jacobian(free), of._selection(free), of.prior(free, UNITS, ITEMS)
        assert (
            values.shape == (2, len(of.parameters), of.size) and torch.isfinite(of.image_jacobian(free)).all()
        )
        for i in range(of.size):
            step = torch.zeros_like(free)
            step[:, i] = 1e-6 * free[:, i].abs().clamp(min=1.0)
            by_steps = lambda f: (f(free + step) - f(free - step)) / (2 * step[0, i])
            step[1, i] = step[0, i]
            for got, expected in (
                (values[:, :, i], by_steps(lambda v: of.values(v, ZEROPOINT))),
                (slope[:, :, i], by_steps(lambda v: torch.cat([*of.blocks(v), v[:, -1:]], 1))),
                (2 * pull[1][:, i], by_steps(lambda v: of.prior(v, UNITS, ITEMS)[0])),
            ):
                torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("said", MODELS.values(), ids=MODELS)
def test_values_survive_the_way_to_the_free_vector_and_back(said):
    of = model(**said)
    free = component_starts(of, SINGLE, ZEROPOINT)[0]
    lower, upper = of.bounds((60, 60), free, UNITS)
    assert ((lower <= free) & (free <= upper)).all()
    torch.testing.assert_close(of.free(of.values(free, ZEROPOINT), ZEROPOINT), free, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("said", [{}, EVERYTHING, MODELS["contours"]])
def test_no_galaxies_are_a_batch_too(said):
    of, none = model(**said), torch.zeros(0, dtype=torch.long)
    free = component_starts(of, SINGLE, ZEROPOINT)[0][none]
    values, units = of.values(free, ZEROPOINT[none]), Units(*(part[none] for part in UNITS[:3]))
    assert values.shape == (0, len(of.parameters)) and of.free(values, ZEROPOINT[none]).shape == free.shape
    assert of.values_jacobian(free).shape == (0, len(of.parameters), of.size) and of.image_jacobian(
        free
    ).shape[::2] == (0, of.size)
    assert of.prior(free, units, none)[1].shape == free.shape
    assert not any(
        len(drawn)
        for drawn in (*of.native(free), *of.amplitudes(free), of.multipliers(free), of.flux_direction(free))
    )
    assert not any(len(again) for again in of.restarts(free))


@pytest.mark.parametrize(("said", "names"), [
    ({"priors": {"mag": {"normal": [18.2, 0.1]}}}, "mag"), ({"bounds": {"mag": [17.0, 19.0]}}, "mag"),
    ({"priors": {"pa": {"normal": [205.0, 5.0]}}}, "pa"), ({"bounds": {"x": [29.0, 31.0]}}, "x"),
])  # fmt: skip
def test_a_component_whose_name_begins_with_anothers_keeps_its_parameters(said, names):
    """What is said of disk_out is of the same kind as what is said of another name, and holds as well."""

    def called(name):
        node = {"components": {"disk": {"profile": "sersic"}, name: {"profile": "exponential"} | said}}
        return build_model(composed(*model_overrides(node)).model)

    of, other = called("disk_out"), called("halo")
    free = component_starts(of, SINGLE, ZEROPOINT)[0]
    torch.testing.assert_close(component_starts(other, SINGLE, ZEROPOINT)[0], free)
    for got, expected in zip(
        (*of.prior(free, UNITS, ITEMS), *of.bounds((60, 60), free, UNITS)),
        (*other.prior(free, UNITS, ITEMS), *other.bounds((60, 60), free, UNITS)),
    ):
        torch.testing.assert_close(got, expected)
    assert of.is_anchored == other.is_anchored == (names == "x") and of.size_like == other.size_like


def test_magnitudes_of_a_component_whose_name_begins_with_anothers_can_be_tied():
    node = {
        "components": {"disk": {"profile": "sersic"}, "disk_out": {"profile": "exponential"}},
        "ties": {"disk.mag": "disk_out.mag + 1"},
    }
    of = build_model(composed(*model_overrides(node)).model)
    at = named(of, component_starts(of, SINGLE, ZEROPOINT)[0])
    torch.testing.assert_close(at["disk_mag"], at["disk_out_mag"] + 1)


def test_what_is_said_holds_wherever_the_solver_goes():
    of = model(**EVERYTHING)
    assert of.parameters[-1] == "disk_h" and of.size == 11
    low, high = (v.clamp(-3, 3) for v in of.bounds((60, 60), SINGLE))
    free = low + (high - low) * torch.rand(
        2, of.size, generator=torch.Generator().manual_seed(3), dtype=torch.float64
    )
    at = named(of, free)
    torch.testing.assert_close(at["disk_r_eff"], 1.678 * at["disk_h"])
    torch.testing.assert_close(at["bulge_pa"], (at["disk_pa"] + 10) % 180)
    assert (
        (at["bulge_r_eff"] < at["disk_r_eff"]).all()
        and (at["bulge_r_eff"] >= 0.05).all()
        and (at["bulge_mag"] >= at["disk_mag"]).all()
    )


def test_at_its_limit_a_parameter_is_the_others_and_the_solver_is_at_a_bound():
    of = model(limits=["bulge.r_eff < 0.5 * disk.r_eff"])
    free = component_starts(of, SINGLE, ZEROPOINT)[0]
    place = [c.name for c in of._coordinates].index("bulge_r_eff")
    lower, upper = of.bounds((60, 60), free)
    free[:, place] = upper[place]
    at = named(of, free)
    torch.testing.assert_close(at["bulge_r_eff"], 0.5 * at["disk_r_eff"])
    free[:, place] = lower[place]
    torch.testing.assert_close(named(of, free)["bulge_r_eff"], torch.full((2,), 0.05, dtype=torch.float64))
    assert place not in of.size_like, "a limit reached is no galaxy that grows without end"


def test_a_start_of_the_users_own_follows_the_single_fit():
    of = model(bulge={"start": {"r_eff": "0.2 * r_eff", "n": 3}})
    for free in component_starts(of, SINGLE, ZEROPOINT):
        at = named(of, free)
        torch.testing.assert_close(at["bulge_r_eff"], 0.2 * SINGLE[:, 3])
        assert at["bulge_n"].tolist() == pytest.approx([3.0, 3.0])
    several = component_starts(
        model(bulge={"start": {"n": [1, 4], "pa": ["pa", "pa + 90"]}}), SINGLE, ZEROPOINT
    )
    assert len(several) == 4 * len(component_starts(model(), SINGLE, ZEROPOINT))


def test_bounds_of_a_size_are_those_of_the_major_axis():
    of = build_model(
        composed(*model_overrides({"profile": "sersic", "bounds": {"r_eff": [2.0, 10.0]}})).model
    )
    free = component_starts(of, SINGLE, ZEROPOINT)[0]
    place = [c.name for c in of._coordinates].index("r_eff")
    free[:, place] = of.bounds((60, 60), free)[1][place]
    assert named(of, free)["r_eff"].tolist() == pytest.approx([10.0, 10.0])


def test_priors_pull_at_what_they_are_of():
    of = model(
        bulge={"priors": {"r_eff": {"normal": [2.0, 0.5]}}},
        disk={"priors": {"r_eff": {"lognormal": [5.0, 0.1]}, "pa": {"normal": [175.0, 10.0]}}},
    )
    free = component_starts(of, SINGLE, ZEROPOINT)[0]
    at = named(of, free)
    angle = (at["disk_pa"] - 175 + 90) % 180 - 90
    expected = (
        ((at["bulge_r_eff"] - 2) / 0.5) ** 2
        + (torch.log10(at["disk_r_eff"] / 5) / 0.1) ** 2
        + (angle / 10) ** 2
    )
    torch.testing.assert_close(of.prior(free)[0], expected)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"bulge": {"fixed": {"n": 4.0}}},
        {"ties": {"disk.r_eff": "3 * bulge.r_eff"}},
        {"limits": ["bulge.r_eff < disk.r_eff"]},
    ],
)
def test_a_prior_on_the_ratio_of_sizes_is_of_circularised_ones(said):
    of, without = model(**said, priors={"size_ratio": [0.35, 0.3]}), model(**said)
    free = component_starts(of, SINGLE, ZEROPOINT)[0] + 0.01
    size = {
        name: torch.sqrt(named(of, free)[f"{name}_q"]) * named(of, free)[f"{name}_r_eff"]
        for name in ("bulge", "disk")
    }
    (penalty, slope, curvature), bare = of.prior(free), without.prior(free)
    torch.testing.assert_close(
        penalty - bare[0], (torch.log10(size["bulge"] / size["disk"] / 0.35) / 0.3) ** 2
    )
    steps = 1e-5 * torch.eye(of.size, dtype=torch.float64)
    by_differences = (
        torch.stack([of.prior(free + step)[0] - of.prior(free - step)[0] for step in steps], 1) / 4e-5
    )
    torch.testing.assert_close(slope, by_differences, atol=1e-7, rtol=1e-7)
    assert torch.linalg.eigvalsh(curvature).min() > -1e-9


def test_positions_in_pixels_are_known_to_be_some():
    assert model(disk={"fixed": {"x": 31.0}}, shared={}).is_anchored
    assert not model(ties={"disk.x": "bulge.x + 2"}, shared={}).is_anchored


def opaque(bulge_q):
    return bulge_q.detach() * 0.5


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"ties": {"disk.r_eff": "2 * disk.hh"}}, "no parameter disk_hh"),
        ({"ties": {"disk.nn": "2 * bulge.n"}}, "no parameter disk_nn"),
        ({"ties": {"sky": "bulge.n"}}, "no parameter sky"),
        (
            {"ties": {"disk.pa": "bulge.pa", "bulge.pa": "disk.pa + 1"}},
            "circle: disk_pa -> bulge_pa -> disk_pa",
        ),
        ({"ties": {"disk.r_eff": "bulge.r_eff"}, "limits": ["bulge.r_eff < disk.r_eff"]}, "in a circle"),
        ({"ties": {"disk.r_eff": "disk.r_eff"}}, "in a circle"),
        ({"ties": {"disk.mag": "2 * bulge.mag"}}, "hang on the zero point"),
        ({"ties": {"disk.r_eff": "bulge.mag"}}, "hang on the zero point"),
        ({"ties": {"disk.r_eff": "log(-1)"}}, "never finite"),
        ({"ties": {"disk.q": opaque}}, "other derivatives"),
        ({"ties": {"disk.q": lambda bulge_q: bulge_q}}, "cannot be found by its name"),
        ({"ties": {"disk.q": "nowhere_at_all:f"}}, "no module nowhere_at_all"),
        ({"ties": {"disk.q": "math:pi"}}, "pi in math is not a function"),
        ({"ties": {"disk.q": True}}, "tied to True"),
        ({"limits": ["bulge.pa < disk.pa"]}, "an angle has no upper"),
        ({"limits": ["disk.x < 30"]}, "both limited and tied"),
        (
            {"disk": {"start": {"r_eff": 5}, "bounds": {"r_eff": [6, 20]}}},
            "to start at 5, outside its bounds",
        ),
        ({"bulge": {"start": {"n": 15}}}, "to start at 15, outside its bounds"),
        ({"disk": {"start": {"r_eff": "disk.h"}}}, "takes disk_h"),
        ({"disk": {"start": {"hh": 3}}}, "a start of disk_hh"),
        ({"bulge": {"start": {"n": [1, 15]}}}, "to start at 15"),
        ({"bulge": {"start": {"n": []}}}, "start of n is empty"),
        ({"disk": {"bounds": {"h": [1, 2]}}}, "bounds on disk_h"),
        (
            {"disk": {"bounds": {"h": [1, None]}, "start": {"h": 2}}, "ties": {"disk.r_eff": "disk.h"}},
            "The bounds of disk_h",
        ),
        ({"bulge": {"priors": {"n": [2, 0]}}}, "The prior on n"),
        ({"bulge": {"priors": {"r_eff": {"normal": [2, 0]}}}}, "The prior on r_eff"),
        ({"bulge": {"priors": {"r_eff": {"flat": [2, 1]}}}}, "The prior on r_eff"),
        ({"priors": {"size_ratio": [0.3, 0]}}, "The prior on size_ratio"),
        ({"priors": {"size_ratio": {"normal": [0.3, 0.1]}}}, "The prior on size_ratio"),
        ({"priors": {"size_ratios": [0.3, 0.3]}}, "beside the components"),
        (
            {"disk": {"profile": "point_source"}, "shared": {}, "priors": {"size_ratio": [0.3, 0.3]}},
            "not two components",
        ),
        ({"disk": {"fixed": {"q": 1.5}}}, "outside its bounds"),
        ({"disk": {"fixed": {"q": 0.5}, "start": {"q": 0.6}}}, "has a start, but it is fixed"),
        ({"disk": {"fixed": {"q": 0.5}}, "ties": {"disk.q": "bulge.q"}}, "both fixed and tied"),
    ],
)
def test_what_makes_no_sense_is_refused_before_the_run(said, words):
    with pytest.raises(AutogalError, match=words) as caught:
        model(**said)
    assert caught.value.remedy and "\n" not in caught.value.what + caught.value.remedy


def test_nothing_said_is_the_plain_model():
    assert (
        type(model()) is Model
        and type(model(bulge={"bounds": {"n": [0.5, 6.0]}, "fixed": {"n": 4.0}})) is Model
    )
    assert math.isclose(
        model(bulge={"bounds": {"n": [0.5, 6.0]}}).bounds((60, 60), SINGLE)[1][4], math.log(6.0)
    )


def test_magnitudes_and_the_sky_are_those_of_the_catalogue():
    of = model(
        bulge={"bounds": {"mag": [17.0, None]}, "fixed": {"n": "start"}},
        disk={"fixed": {"mag": 18.0}, "priors": {"mag": {"normal": [18.2, 0.1]}}},
        priors={"sky": {"normal": [101.0, 0.5]}},
        bounds={"sky": [99.0, 103.0]},
    )
    free = component_starts(of, SINGLE, ZEROPOINT)[0]
    at, names = named(of, free), [c.name for c in of._coordinates]
    assert at["disk_mag"].tolist() == pytest.approx([18.0, 18.0], abs=1e-12)
    assert (
        [names[i] for i in of.fixed] == ["bulge_n", "disk_mag"]
        and of.linear == ()
        and len(of.fitted) == of.size - 2
    )
    sky = UNITS.scale * at["sky"] + UNITS.pedestal
    torch.testing.assert_close(
        of.prior(free, UNITS, ITEMS)[0], ((sky - 101) / 0.5) ** 2 + ((18 - 18.2) / 0.1) ** 2
    )
    torch.testing.assert_close(of.prior(free[1:], UNITS, ITEMS[1:])[0], of.prior(free, UNITS, ITEMS)[0][1:])
    lower, upper = of.bounds((60, 60), free, UNITS)
    assert lower.shape == (2, of.size)
    torch.testing.assert_close(
        UNITS.scale[:, None] * torch.stack([lower[:, -1], upper[:, -1]], 1) + UNITS.pedestal[:, None],
        torch.tensor([[99.0, 103.0]] * 2, dtype=torch.float64),
    )
    brightest = free.clone()
    brightest[:, names.index("bulge_mag")] = upper[:, names.index("bulge_mag")]
    assert named(of, brightest)["bulge_mag"].tolist() == pytest.approx([17.0, 17.0])


def test_a_fixed_sky_alone_is_still_the_plain_model():
    of = model(fixed={"sky": 3.0})
    assert (
        type(of) is Model
        and of.holds_sky
        and of.sky == {"sky": 3.0}
        and of.fixed == (of.size - 1,)
        and of.size - 1 not in of.linear
    )


def test_a_round_component_with_a_tied_angle_still_feels_that_it_would_be_elongated():
    of = model(ties={"bulge.pa": "disk.pa"})
    free = component_starts(of, SINGLE, ZEROPOINT)[0]
    place = [c.name for c in of._coordinates].index("bulge_q")
    near, at = free.clone(), free.clone()
    near[:, place], at[:, place] = -1e-6, of.bounds((60, 60), free)[1][place]
    slopes = [of.image_jacobian(one)[:, :, place] for one in (near, at)]
    assert (named(of, at)["bulge_q"] == 1).all() and (slopes[0].abs().amax(-1) > 1).all()
    torch.testing.assert_close(slopes[1], slopes[0], rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("more", [{}, {"boxiness": True}])
def test_a_circle_does_not_forget_the_angle_that_it_is_given(more):
    of = model(
        bulge={"fixed": {"q": 1, "pa": 30}} | more,
        disk={"fixed": {"q": "start"}} | more,
        ties={"disk.pa": "bulge.pa + 30"},
    )
    for free in component_starts(of, SINGLE, ZEROPOINT)[:1]:
        torch.testing.assert_close(named(of, free)["bulge_pa"], torch.full((2,), 30.0, dtype=torch.float64))
        assert (named(of, free)["bulge_q"] == 1).all()
    tied = model(bulge={"fixed": {"q": 1}}, ties={"bulge.pa": "disk.pa + 10"})
    free = component_starts(tied, SINGLE, ZEROPOINT)[0]
    torch.testing.assert_close(named(tied, free)["bulge_pa"], (named(tied, free)["disk_pa"] + 10) % 180)
    slope = tied.values_jacobian(free)
    bulge, disk = (slope[:, tied.parameters.index(f"{name}_pa")] for name in ("bulge", "disk"))
    torch.testing.assert_close(bulge, disk)


def test_of_an_angle_that_the_image_does_not_tell_the_turn_is_known():
    of = model(bulge={"fixed": {"q": 0.999}}, disk={"bounds": {"q": [0.1, 0.9]}})
    free = component_starts(of, SINGLE, ZEROPOINT)[0]
    penalty, slope, curvature = of.prior(free)
    at = [i for i, c in enumerate(of._coordinates) if c.name in ("bulge_pa", "disk_pa")]
    assert not penalty.any() and not slope.any() and len(at) == 2
    degrees = curvature[..., at, at].rsqrt().rad2deg() / 2
    torch.testing.assert_close(degrees, torch.full_like(degrees, 180 / math.sqrt(12)))
