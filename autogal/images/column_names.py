"""The names of columns in manifests and tables of starting values: which are known, which others mean the
same, which are a slip."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from autogal.errors import AutogalError
from autogal.parameters import FLUX_START

__all__ = ["FACTS", "FILES", "SKY", "START", "counted_from_one", "known_columns", "listed"]

#: Starting values
START = ("x", "y", "mag", *FLUX_START[2:])
#: Where the target is on the sky, which serves as x and y do
SKY = ("ra", "dec")
FILES = ("psf", "sigma", "mask")
FACTS = ("zeropoint", "pixel_scale", "gain")

# Other names in use for the same things. Pixel positions of catalogues are not among them: they count from 1,
# in another image.
_ALIASES = {
    "id": ("object_id",),
    "zeropoint": ("zp", "magzp", "zp_ab"),
    "pixel_scale": ("pixscale", "pixscale_arcsec"),
    "gain": ("gain_e_per_unit",),
    "x": ("x_target",),
    "y": ("y_target",),
    "ra": (
        "ra_deg",
        "ra_target",
        "raj2000",
        "ra_j2000",
        "ra_icrs",
        "right_ascension",
        "alpha_j2000",
        "alphawin_j2000",
        "alphapeak_j2000",
        "coord_ra",
        "world_centroid_alpha",
    ),
    "dec": (
        "dec_deg",
        "dec_target",
        "decj2000",
        "dej2000",
        "dec_j2000",
        "de_icrs",
        "declination",
        "delta_j2000",
        "deltawin_j2000",
        "deltapeak_j2000",
        "coord_dec",
        "world_centroid_delta",
    ),
}
# Pixel positions along x of SExtractor's catalogues, which count from 1
_FROM_ONE = {f"x{of}image" for of in ("", "win", "peak", "model", "psf")}
# Letters of a name from which one wrong letter is a slip rather than another word (mask, mass), and from
# which two are
_LONG, _LONGER = 6, 9
_SHORTEST = 4  # letters; shorter names are all but one letter away from one another
_ENDINGS = ("s", "file", "files", "path", "image")  # of columns that name files: psfs, sigma_file
_LISTED = 12


def known_columns(
    names: Sequence[str], known: Collection[str], where: str
) -> tuple[dict[str, int], list[str]]:
    """Where the columns of a table are that are known.

    Capitals, spaces, ``_`` and ``-`` make no difference. The name itself comes before others that mean the
    same.

    Parameters
    ----------
    names : sequence of str
        Of all columns.
    known : collection of str
        What may be there.
    where : str
        The table, as an error names it.

    Returns
    -------
    found : dict of str to int
        Number of the column, by the known name.
    left : list of str
        Names of the columns that are not known.

    Raises
    ------
    AutogalError
        Where a name is all but one that is known, and nothing else stands for that.
    """
    meant = {_plain(word): key for key in known for word in (key, *_ALIASES.get(key, ()))}
    plain = [_plain(name) for name in names]
    found: dict[str, int] = {}
    for key in known:
        for word in (key, *_ALIASES.get(key, ())):
            if key not in found and _plain(word) in plain:
                found[key] = plain.index(_plain(word))
    left = [name for name, word in zip(names, plain) if word not in meant]
    for name in left:
        near = [word for word in meant if meant[word] not in found and _is_slip(_plain(name), word)]
        if near:
            right = meant[near[0]]
            raise AutogalError(
                f"{where} has a column {name}, which is not known.",
                f"Did you mean {right}? Name it so, or something else that is no slip of it.",
            )
    return found, left


def counted_from_one(left: Sequence[str], found: Collection[str]) -> str:
    """What to add to a warning of columns that are not used, where they are pixel positions as SExtractor and
    its like count them.

    Parameters
    ----------
    left : sequence of str
        The names that are not used.
    found : collection of str
        The known ones that are there.
    """
    across = [name for name in left if _plain(name) in _FROM_ONE]
    if not across or not {"x", "y", "ra", "dec"}.isdisjoint(found):
        return ""
    return (
        f" SExtractor counts pixels from 1: x = {across[0]} - 1, and y likewise, say which source of this "
        f"image is meant."
    )


def listed(names: Sequence[str]) -> str:
    """Names for a message, of very many only the first."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "", name.lower())


def _is_slip(word: str, known: str) -> bool:
    """Whether a word is a known one with its letters mistyped, or the plural or a longer name of one of
    `FILES`."""
    if known in FILES and (
        word in {known + end for end in (*_ENDINGS, known[-1])}
        or (len(word) >= _SHORTEST and word == known[:-1])
    ):
        return True
    if len(known) < _SHORTEST or abs(len(word) - len(known)) > 2:
        return False
    if len(known) < _LONG:
        # Two letters exchanged, or one inside lost or doubled: mass is no mask, imag no image, fluxr no flux
        exchanged = sorted(word) == sorted(known) and _distance(word, known) == 1
        inside = (
            word[:1] == known[0]
            and word[-1:] == known[-1]
            and len(word) != len(known)
            and _distance(word, known) == 1
        )
        return exchanged or inside
    return _distance(word, known) <= (2 if len(known) >= _LONGER else 1)


def _distance(one: str, other: str) -> int:
    """Letters added, left out, replaced or exchanged with the next one that make one word of the other
    (Damerau 1964)."""
    rows = [list(range(len(other) + 1))]
    for i, letter in enumerate(one, 1):
        row = [i]
        for j, own in enumerate(other, 1):
            best = min(rows[-1][j] + 1, row[-1] + 1, rows[-1][j - 1] + (letter != own))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == own:
                best = min(best, rows[-2][j - 2] + 1)
            row.append(best)
        rows.append(row)
    return rows[-1][-1]
