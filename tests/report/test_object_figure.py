"""The picture of an object: what is drawn, and that nothing odd stops it."""

import itertools

import numpy as np
import pytest
from matplotlib.image import imread
from matplotlib.patches import Ellipse

from autogal.flags import Flag
from autogal.images.cutout import Cutout
from autogal.report.measurement import measurement
from autogal.report.object_figure import object_figure, object_png
from autogal.results import Catalogue

from ..results.scenes import PARAMETERS, VALUES, make_cutout, make_fit, make_model

pytestmark = pytest.mark.filterwarnings("error")


def row_of(cutout, **fit):
    return Catalogue.from_fitted([cutout], make_fit(1, **fit)).table[0]


def words(figure):
    return [text.get_text() for text in figure.texts]


def odd_cutouts():
    nothing = make_cutout("all NaN")
    nothing.image[:], nothing.mask[:] = np.nan, True
    nothing.fail("All pixels are NaN.")
    masked = make_cutout("all masked")
    masked.mask[:] = True
    constant = make_cutout("constant", shape=(20, 20))
    constant.image[:], constant.sigma = 3, None
    holes = make_cutout("holes")
    holes.image[10:20, 5:9], holes.sigma[3:5, 3:5], holes.sigma[6, 6] = np.nan, np.nan, 0
    negative = make_cutout("negative")
    negative.image -= 1e6
    unscaled = make_cutout("no scale", flags=Flag.PIXEL_SCALE_DEFAULT)
    shapes = [(8, 8), (1, 60), (60, 1), (150, 40), (1, 1), (900, 1300)]
    sizes = [make_cutout(f"{h} x {w}", shape=(h, w)) for h, w in shapes]
    unreadable = Cutout.failed("unreadable", "There is no such file.")
    return [nothing, masked, constant, holes, negative, unscaled, *sizes, unreadable]


@pytest.mark.parametrize("cutout", odd_cutouts(), ids=lambda cutout: cutout.id)
@pytest.mark.parametrize("result", ["measured", "failed", "no row"])
def test_every_cutout_has_a_picture(tmp_path, cutout, result):
    model = make_model(cutout.shape) if result == "measured" and cutout.image.size else None
    row = (
        None
        if result == "no row"
        else row_of(cutout, status=["converged" if result == "measured" else "failed"])
    )
    before = cutout.image.copy()
    picture = imread(object_png(tmp_path / "a.png", cutout, model, row))
    assert picture.shape[1] == 1300 and 400 < picture.shape[0] < 600
    assert picture[..., :3].std() > 0.02, "the picture must not be empty"
    np.testing.assert_array_equal(cutout.image, before)


@pytest.mark.parametrize("pa", [0, 30, 90, 150])
def test_the_ellipse_lies_along_the_light(pa):
    values = VALUES.copy()
    values[6], values[5] = pa, 0.4
    model, cutout = make_model(values=values), make_cutout()
    figure = object_figure(cutout, model, row_of(cutout, values=values[None]))
    (ellipse,) = [patch for patch in figure.axes[0].patches if isinstance(patch, Ellipse)]
    # The same angle and size from the moments of the light and from the drawn outline.
    y, x = np.indices(model.shape)
    light = np.where(np.hypot(x - values[0], y - values[1]) < 12, model - values[7], 0)
    dx, dy = x - values[0], y - values[1]
    of_light = 0.5 * np.arctan2(2 * (light * dx * dy).sum(), (light * (dx**2 - dy**2)).sum())
    around = np.linspace(0, 2 * np.pi, 721)
    circle = np.stack([np.cos(around), np.sin(around)], axis=1)
    outline = ellipse.get_patch_transform().transform(circle) - ellipse.center
    far = outline[np.argmax(np.hypot(*outline.T))]
    assert np.hypot(*far) == pytest.approx(values[3], rel=0.01)
    turn = np.rad2deg(np.arctan2(far[1], far[0]) - of_light)
    assert abs((turn + 90) % 180 - 90) < 3
    assert ellipse.center == (values[0], values[1])


def test_flags_numbers_and_status_are_written_in_words():
    cutout = make_cutout("my $galaxy_1$")
    cutout.flags |= Flag.SIGMA_ESTIMATED
    bits = Flag.NOT_CONVERGED | Flag.LOW_SN
    figure = object_figure(
        cutout, make_model(), row_of(cutout, status=["not_converged"], flags=np.array([int(bits)]))
    )
    text = words(figure)
    for part in (
        "my $galaxy_1$",
        "bad · not converged",
        "not converged · low S/N",
        "sigma estimated",
        "18.500 ± 0.010",
    ):
        assert part in text, part
    assert "5.00 ± 0.10 px" in text and "2.000 ± 0.040″" in text and "30.00 ± 0.90°" in text
    assert any("S/N 120" in t and "χ²/dof 1.100" in t for t in text)


def test_numbers_of_many_digits_do_not_overlap():
    cutout = make_cutout("bright")
    fit = make_fit(1)
    fit.values[:, :2] += 100  # x and y
    fit.covariance *= 1e-4
    figure = object_figure(cutout, make_model(), Catalogue.from_fitted([cutout], fit).table[0])
    numbers = [text for text in figure.texts if "±" in text.get_text()]
    boxes = sorted(
        (text.get_window_extent(figure.canvas.get_renderer()) for text in numbers), key=lambda box: box.x0
    )
    assert len(boxes) > 6 and all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    assert boxes[-1].x1 < figure.bbox.width


def test_a_failed_object_says_why():
    figure = object_figure(Cutout.failed("gone", "There is no file gone.fits."))
    assert {"failed", "bad input", "There is no file gone.fits.", "no image"} <= set(words(figure))


def test_each_component_has_an_ellipse_and_a_line():
    names = (
        "x",
        "y",
        "bulge_mag",
        "bulge_r_eff",
        "bulge_q",
        "bulge_pa",
        "disk_mag",
        "disk_r_eff",
        "disk_q",
        "disk_pa",
    )
    values = np.array([[30, 25, 18, 2, 0.9, 10, 17, 9, 0.5, 30.0]])
    cutout = make_cutout()
    row = row_of(cutout, values=values, covariance=1e-4 * np.eye(10)[None], parameters=names)
    figure = object_figure(cutout, make_model(), row)
    assert [p.height for p in figure.axes[0].patches] == [4, 18]
    assert {"bulge mag", "disk r_eff", "x"} <= set(words(figure))
    assert figure.get_figheight() > object_figure(cutout, make_model(), row_of(cutout)).get_figheight() + 0.5


def test_of_several_models_the_chosen_one_is_drawn_and_written():
    parameters = (
        *(f"sersic_{name}" for name in PARAMETERS),
        "sersic_point_host_r_eff",
        "sersic_point_point_mag",
        "sersic_point_sky",
    )
    values = np.array([[*VALUES, 9.0, 17.0, 0.1]])
    chosen = {
        "model": np.array(["sersic"]),
        "sersic_status": np.array(["converged"]),
        "sersic_point_status": np.array(["converged"]),
    }
    cutout = make_cutout()
    for model, shown, hidden in (
        ("sersic", {"r_eff", "n", "x"}, {"host r_eff"}),
        ("sersic_point", {"host r_eff", "point mag"}, {"n"}),
    ):
        selection = chosen | {"model": np.array([model])}
        row = row_of(
            cutout,
            values=values,
            covariance=1e-4 * np.eye(11)[None],
            parameters=parameters,
            selection=selection,
        )
        figure = object_figure(cutout, make_model(), row)
        assert shown <= set(words(figure)) and not hidden & set(words(figure))
        assert any(text.startswith(f"{model} ") for text in words(figure))
        assert [p.height for p in figure.axes[0].patches] == ([10.0] if model == "sersic" else [])


def test_numbers_of_every_profile_are_written():
    names = ("x", "y", "mag", "fwhm", "beta", "c0", "am3", "pm3", "q", "pa", "sky", "mine")
    values = np.array([[30.0, 25.0, 18.0, 5.0, 2.5, 0.1, 0.2, 30.0, 0.6, 30.0, 0.2, 7.0]])
    row = row_of(make_cutout(), values=values, covariance=1e-4 * np.eye(12)[None], parameters=names)
    figure = object_figure(make_cutout(), make_model(), row)
    assert {"fwhm", "beta", "c0", "am3", "mine", "sky", "5.000 ± 0.010 px", "30.000 ± 0.010°"} <= set(
        words(figure)
    )


def test_panels_share_a_stretch_and_the_residual_is_symmetric():
    cutout = make_cutout()
    panels = object_figure(cutout, make_model(), row_of(cutout)).axes
    limits = [panels[k].images[0].get_clim() for k in range(4)]
    assert limits[0] == limits[1] == limits[2] and limits[3] == (-5, 5)
    pull = panels[3].images[0].get_array()
    np.testing.assert_allclose(pull, (cutout.image - make_model()) / cutout.sigma, rtol=1e-4, atol=1e-5)


def test_the_scale_bar_is_in_pixels_where_their_size_is_unknown():
    known = object_figure(make_cutout(pixel_scale=0.4), make_model())
    assert [t.get_text() for t in known.axes[0].texts] == ["5″"]
    unknown = object_figure(make_cutout(flags=Flag.PIXEL_SCALE_DEFAULT), make_model())
    assert [t.get_text() for t in unknown.axes[0].texts] == ["10 px"]


def test_an_id_of_another_script_does_not_warn(tmp_path):
    object_png(tmp_path / "a.png", make_cutout("銀河\u0001"), make_model())


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (17.23149, 0.0123, "17.231 ± 0.012"),
        (17.23149, 1.9, "17.2 ± 1.9"),
        (1234.5, 99.6, "1234 ± 100"),
        (5, 0.996, "5.00 ± 1.00"),
        (-0.0001, 0.5, "0.00 ± 0.50"),
        (1.2e-7, 3.1e-8, "(1.20 ± 0.31)×10⁻⁷"),
        (2.5e9, 1e7, "(2.500 ± 0.010)×10⁹"),
        (0.0, 0.004, "0.0000 ± 0.0040"),
        (8.0, np.nan, "8 ± –"),
        (8.0, 0.0, "8 ± –"),
        (np.nan, 1.0, "–"),
    ],
)
def test_measurement(value, error, text):
    assert measurement(value, error) == text
