"""One picture per object: image, mask, model, residual, and the numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Row
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse

from autogal.flags import Flag
from autogal.images.cutout import Cutout
from autogal.report.object_facts import HalfLightEllipse, Measured, ObjectFacts, object_facts
from autogal.runtime.files import atomic
from autogal.runtime.warnings import silenced

__all__ = ["object_figure", "object_png"]

_INK, _FAINT, _WARN, _BAD, _GOOD = "#1b1f24", "#7a828c", "#b35c00", "#b3261e", "#1a7f37"
_EXCLUDED, _PAPER = "#f28e2b", "#e9ebee"
_COMPONENTS = ("#19c3e6", "#ff4fa3", "#b6e021", "#ffb000")
_QUALITY = {"good": _GOOD, "fair": _GOOD, "poor": _WARN, "bad": _BAD, "none": _FAINT}
_LIMIT = 5.0  # range of the residual panel [sigma], the same in every picture so that they compare
_FINEST = 640  # pixels along a side that a panel can show
_STRIP = 6.0  # a stamp longer than this, relative to its width, is stretched to be seen

# Layout [inches].
_WIDTH, _MARGIN, _PANEL, _PITCH = 13.0, 0.16, 2.75, 3.1
_HEADING, _LINE = 0.92, 0.48  # heading above the panels; one line of numbers below
_GAP = 0.008  # between numbers, of the width

_IN_A_LINE = 9


def object_png(
    path: str | Path,
    cutout: Cutout,
    model: np.ndarray | None = None,
    row: Row | Mapping[str, Any] | None = None,
) -> Path:
    """Write the picture of one object.

    Parameters
    ----------
    path : str or Path
        PNG file to write; an existing one is replaced.
    cutout : Cutout
        Of any shape; a failed one gives a picture that says why.
    model : ndarray, shape (H, W), optional
        Fitted model in image units, sky included.
    row : astropy.table.Row or mapping, optional
        The object's row of the catalogue.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    AutogalError
        Where the file cannot be written.
    """
    path = Path(path)
    figure = object_figure(cutout, model, row)
    with atomic(path) as temporary, silenced(message="Glyph .* missing from"):  # ids may be of any script
        FigureCanvasAgg(figure).print_png(temporary, pil_kwargs={"compress_level": 3})
    return path


def object_figure(
    cutout: Cutout, model: np.ndarray | None = None, row: Row | Mapping[str, Any] | None = None
) -> Figure:
    """The picture of one object, as a matplotlib figure.

    Image, mask and model share one asinh stretch in units of the noise; the
    residual is in units of sigma, between -5 and 5. Ellipses are half-light
    ellipses. No state of pyplot is used, so this may run in any thread.

    Parameters
    ----------
    cutout, model, row
        As in :func:`object_png`.

    Returns
    -------
    matplotlib.figure.Figure
        With an Agg canvas.
    """
    facts = object_facts(cutout, row)
    lines = [line[i : i + _IN_A_LINE] for line in facts.measured for i in range(0, len(line), _IN_A_LINE)]
    height = _HEADING + 0.25 + _PANEL + 0.2 + _LINE * max(1, len(lines)) + 0.05
    figure = Figure(figsize=(_WIDTH, height), dpi=100, facecolor="white")
    FigureCanvasAgg(figure)
    boxes = [(_MARGIN + k * _PITCH, height - _HEADING - _PANEL, _PANEL, _PANEL) for k in range(4)]
    panels = [
        figure.add_axes((x / _WIDTH, y / height, w / _WIDTH, h / height), anchor="NW") for x, y, w, h in boxes
    ]
    _heading(figure, facts)
    _numbers(figure, lines)
    if cutout.image.size:
        _images(figure, panels, cutout, model, facts)
    else:
        for axes, title in zip(panels, ("image", "mask", "model", "residual"), strict=True):
            _frame(axes, title, note="no image")
    return figure


def _images(
    figure: Figure, panels: list[Axes], cutout: Cutout, model: np.ndarray | None, facts: ObjectFacts
) -> None:
    """Fill the four panels."""
    height, width = cutout.shape
    coarse = np.s_[:: max(1, math.ceil(height / _FINEST)), :: max(1, math.ceil(width / _FINEST))]
    image, mask = cutout.image[coarse], cutout.mask[coarse]
    blank = np.full(image.shape, np.nan)
    sigma = blank if cutout.sigma is None else cutout.sigma[coarse]
    model = blank if model is None else np.asarray(model)[coarse]
    light = image[~mask & np.isfinite(image)]
    fitted = bool(np.isfinite(model).any())

    dark, noise = _stretch(light, sigma[~mask], facts.sky)
    peaks = [np.percentile(light, 99.8)] if light.size else []
    peaks += [np.nanmax(model)] if fitted else []
    place = {
        "extent": (-0.5, width - 0.5, -0.5, height - 0.5),
        "origin": "lower",
        "interpolation": "nearest",
        "aspect": "equal" if max(cutout.shape) <= _STRIP * min(cutout.shape) else "auto",
    }
    brightest = max([(peak - dark) / noise for peak in peaks] + [5.0])
    shades = {"vmin": math.asinh(-1.0), "vmax": math.asinh(brightest)}
    with np.errstate(divide="ignore", invalid="ignore"):
        deviation = np.where(np.isfinite(sigma) & (sigma > 0), (image - model) / sigma, np.nan)

    panels[0].imshow(np.arcsinh((image - dark) / noise), cmap=_map("magma"), **shades, **place)
    panels[1].imshow(np.arcsinh((image - dark) / noise), cmap=_map("gray_r"), **shades, **place)
    panels[1].imshow(_veil(mask, _EXCLUDED, 0.6), **place)
    panels[2].imshow(np.arcsinh((model - dark) / noise), cmap=_map("magma"), **shades, **place)
    residual = panels[3].imshow(deviation, cmap=_map("RdBu_r"), vmin=-_LIMIT, vmax=_LIMIT, **place)
    # Excluded pixels stay visible, but pale: they had no say in the fit.
    panels[3].imshow(_veil(mask, _PAPER, 0.75), **place)

    share = np.count_nonzero(cutout.mask) / cutout.mask.size
    _frame(panels[0], "image", f"{width} × {height} px")
    _frame(
        panels[1],
        "mask",
        "< 1 % excluded" if 0 < share < 0.01 else f"{share:.0%} excluded".replace("%", " %"),
    )
    _frame(panels[2], "model", note="" if fitted else "no model")
    _frame(panels[3], "residual / σ", note="" if fitted else "no model")
    if light.size:
        known = not cutout.flags & Flag.PIXEL_SCALE_DEFAULT
        _scale_bar(panels[0], width, cutout.pixel_scale if known else None)
    for axes in (panels[0], panels[2]):
        _ellipses(axes, facts.ellipses)
        axes.set(xlim=place["extent"][:2], ylim=place["extent"][2:])
    box = panels[3].get_position(original=True)
    bar = figure.colorbar(residual, cax=figure.add_axes((box.x1 + 0.008, box.y0, 0.007, box.height)))
    bar.set_ticks([-_LIMIT, 0, _LIMIT], labels=[f"−{_LIMIT:g}", "0", f"+{_LIMIT:g}"])
    bar.ax.tick_params(length=0, labelsize=8, colors=_FAINT, pad=2)
    bar.outline.set_visible(False)


def _stretch(light: np.ndarray, sigma: np.ndarray, sky: float) -> tuple[float, float]:
    """Level shown as dark, and scale of the asinh: 1.5 times the noise; finite, the scale positive."""
    if not light.size:
        return 0.0, 1.0
    dark = sky if math.isfinite(sky) else float(np.median(light))
    sigma = sigma[np.isfinite(sigma) & (sigma > 0)]
    noise = float(np.median(sigma)) if sigma.size else 1.4826 * float(np.median(np.abs(light - dark)))
    return dark, 1.5 * noise or float(np.ptp(light)) or 1.0


def _veil(mask: np.ndarray, colour: str, opacity: float) -> np.ndarray:
    """A layer of one colour over the excluded pixels, clear elsewhere."""
    layer = np.zeros((*mask.shape, 4), np.float32)
    layer[mask] = to_rgba(colour, opacity)
    return layer


def _map(name: str):
    """A colour map that shows pixels without a value as bare paper."""
    return colormaps[name].with_extremes(bad=_PAPER)


def _frame(axes: Axes, title: str, detail: str = "", note: str = "") -> None:
    """Title and detail above the place of a panel, whatever the shape of what it shows."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set_color("#c9ced6")
    figure, box = axes.figure, axes.get_position(original=True)
    figure.text(box.x0, box.y1 + 0.015, title, fontsize=10, color=_INK, weight="bold")
    figure.text(box.x1, box.y1 + 0.015, detail, fontsize=8.5, color=_FAINT, ha="right")
    if note:
        axes.set_facecolor(_PAPER)
        figure.text(
            (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2, note, fontsize=10, color=_FAINT, ha="center"
        )


def _ellipses(axes: Axes, ellipses: Sequence[HalfLightEllipse | None]) -> None:
    """The half-light ellipse of each component."""
    for one, colour in zip(ellipses, _COMPONENTS, strict=False):
        if one is not None:
            # With no rotation the long side points up: +y, from where pa is counted.
            axes.add_patch(
                Ellipse(
                    (one.x, one.y),
                    2 * one.r_eff * one.q,
                    2 * one.r_eff,
                    angle=one.pa,
                    fill=False,
                    ec=colour,
                    lw=1.1,
                )
            )


def _scale_bar(axes: Axes, width: int, pixel_scale: float | None) -> None:
    """A round length, at most 0.3 of the panel; in pixels where their size is unknown."""
    scale, unit = (pixel_scale, "″") if pixel_scale else (1.0, " px")
    longest = 0.3 * width * scale
    power = 10.0 ** math.floor(math.log10(longest))
    length = power * max(k for k in (1, 2, 5) if k * power <= longest * (1 + 1e-9))
    start, end = 0.05, 0.05 + length / (scale * width)
    axes.plot(
        [start, end], [0.05, 0.05], transform=axes.transAxes, color="white", lw=2, solid_capstyle="butt"
    )
    middle = (start + end) / 2
    axes.text(
        middle, 0.07, f"{length:g}{unit}", transform=axes.transAxes, color="white", fontsize=8, ha="center"
    )


def _heading(figure: Figure, facts: ObjectFacts) -> None:
    """The id, how far it can be trusted and how the fit ended, its flags in words, and why there is no
    result."""
    left, right, height = _MARGIN / _WIDTH, 1 - 1.5 * _MARGIN / _WIDTH, figure.get_figheight()
    first, second = 1 - 0.31 / height, 1 - 0.52 / height
    figure.text(left, first, _short(facts.id, 70), fontsize=14, weight="bold", color=_INK, parse_math=False)
    # how the fit ended says nothing of how far it can be trusted: that comes first, and has the colour
    ended = facts.status.replace("_", " ")
    title = f"{facts.quality} · {ended}" if facts.quality not in ("", "none") else ended
    colour = _BAD if facts.status == "failed" else _QUALITY.get(facts.quality, _INK)
    figure.text(right, first, title, fontsize=12, weight="bold", color=colour, ha="right")

    x = left
    for some, colour in ((facts.warnings, _WARN), (facts.assumptions, _FAINT)):
        if words := " · ".join(some):
            drawn = figure.text(x, second, words, fontsize=9.5, color=colour)
            x = drawn.get_window_extent().x1 / figure.bbox.width + 0.018
    if np.isfinite(facts.chi2_dof):
        chosen = f"{facts.model}    " if facts.model else ""
        numbers = f"{chosen}S/N {facts.snr:.4g}    χ²/dof {facts.chi2_dof:.3f}    iterations {facts.n_iter}"
        figure.text(right, second, numbers, fontsize=9.5, color=_FAINT, ha="right")
    if facts.error:
        figure.text(left, 0.2 / height, _short(facts.error, 170), fontsize=10.5, color=_BAD, parse_math=False)


def _short(text: str, longest: int) -> str:
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _numbers(figure: Figure, lines: list[list[Measured]]) -> None:
    height = figure.get_figheight()
    top = height - _HEADING - _PANEL - 0.28
    for k, line in enumerate(lines):
        y = top - k * _LINE
        drawn = [
            figure.text(0, (y - 0.21) / height, text, fontsize=9.5, color=_INK)
            for text in (one.text for one in line)
        ]
        widths = [_GAP + text.get_window_extent().width / figure.bbox.width for text in drawn]
        room = (
            1 - _MARGIN / _WIDTH
        )  # of many digits one pushes the next, and all are smaller where even that is not enough
        size = min(1.0, (room - _MARGIN / _WIDTH) / sum(widths))
        places = [
            (_MARGIN + 1.39 * column) / _WIDTH for column in range(len(line))
        ]  # the last, the sky, is the widest
        end = 0.0
        for column, width in enumerate(widths):
            places[column] = min(max(places[column], end), room - size * sum(widths[column:]))
            end = places[column] + size * width
        for x, text, label in zip(places, drawn, (one.label for one in line), strict=True):
            text.set(x=x, fontsize=9.5 * size)
            figure.text(x, y / height, label, fontsize=8.5, color=_FAINT, parse_math=False)
