"""The pages of ``autogal --help`` and ``autogal <verb> --help``."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

__all__ = ["groups", "overview", "page"]

_OVERVIEW = """\
autogal: galaxy structure from survey images, without a person in the loop

  autogal fit PATH [PATH ...] [key=value ...]    fit galaxies, write a catalogue
  autogal simulate survey=NAME [key=value ...]   draw cutouts with known truth, to test fits with
  autogal train segmenter|initialiser ...        train the networks of masks and starting values
  autogal evaluate segmenter|initialiser|pipeline|calibration|invariance    how good they are
  autogal VERB --help                            all about it, with examples: autogal fit --help
  autogal --version

An error is two lines: what is wrong, and what to do. AUTOGAL_DEBUG=1 adds the traceback.
"""

_FIT = """\
autogal fit: cutouts in, catalogue out

  autogal fit PATH [PATH ...] [key=value ...] [options]

For every cutout: find the galaxy at its centre, mask the neighbours, estimate starting
values, fit a PSF-convolved profile, again together with the neighbours that matter to it,
and write one row: position, magnitude, half-light radius, Sersic index, axis ratio,
position angle, their 1-sigma errors, and flags.

EXAMPLES
  autogal fit cutouts/*.fits psf=psf.fits survey=sdss out=run1
  autogal fit manifest.csv out=run2 solver=adam uncertainty=none device=cpu
  autogal fit @list.txt zeropoint=27 pixel_scale=0.168 gain=5300
  autogal fit "a b.fits" "mosaic.fits[SCI,1]" psf=psf.fits psf.kind=optical psf.oversample=2
  autogal fit cutouts/ "model=[sersic,bulge_disk]"             (fit each, choose by BIC; model.choose=aic)
  autogal fit cutouts/ model.fixed.n=1 "model.limits=['r_eff<20']"   (also start, bounds, priors, ties)
  autogal fit cutouts/ neighbours=mask                         (mask all neighbours, whatever overlaps)
  autogal fit xray/ likelihood=poisson                         (counts; likelihood=student_t: wild pixels)
  autogal fit -m cutouts/*.fits solver=lm,adam out=compare     (one folder a job: compare/solver=lm, ...)

PATHS
  cutout.fits          a FITS image, also .fz and .gz; cutout.fits[SCI,1] chooses the extension.
                       Its companions are found by name: cutout_psf.fits, cutout_mask.fits, cutout_sigma.fits
                       (or _rms, _err; _ivar and _var are converted), or an extension ERR of its own;
                       _wht, _dq, _flags, ... are named as not used. What autogal wrote is no cutout
  "cutouts/*.fits"     a pattern          cutouts/     a folder          @list.txt   one path a line
  manifest.csv         a table (CSV, ECSV, FITS, Parquet), one row an object: id, image; and, where there
                       are, psf, sigma, mask, zeropoint, pixel_scale, gain, x, y, mag, r_eff, n, q, pa, sky.
                       x and y [pixels from 0], or ra and dec [deg], say which source of an image is meant
  A file that exists is a path whatever its name; everything after -- is one too.

KEYS  (key=value; what is not given comes from the header, then the survey, then a default with a flag)
  out=FOLDER           catalogue.fits, config.yaml, autogal.log, objects/           [autogal_run]
                       what an earlier run left there is kept in FOLDER/earlier_1; overwrite=true deletes it
  strict=true          exit code 1 where a row is not converged
  psf=FILE             one PSF for all        psf.kind=effective|optical        psf.oversample=2
  sigma=FILE mask=FILE one noise map or mask for all; mask: non-zero = bad pixel
  zeropoint= pixel_scale= gain= saturation= hdu=       facts about the images
  catalogue.format=fits|ecsv|parquet|MODULE:CLASS      the last a format of your own
  objects.png=auto objects.fits=auto objects.limit=200    a picture and a FITS cube an object, up to the limit
  neighbours=auto|mask|fit     up to three, galaxies and stars, are fitted together with the target: those
                       whose light matters to it; none; or all there is room for; the others are masked [auto]
  device=auto|cpu|cuda|cuda:1   dtype=float32|float64   block=512   threads=2   seed=0
  trainer.devices=4    four GPUs share the cutouts, a process each (-1: all there are, [0,2]: these);
                       auto: one process, but on a CPU one a core from 512 cutouts on [auto];
                       trainer.accelerator=cpu, trainer.strategy=, trainer.num_nodes=: as Lightning has them

GROUPS  (group=choice; * is the default. Values inside: solver.max_iterations=100)
{groups}

{options}  --hydra-help         more options: --info, --config-name, --config-path, --package, --resolve

EXIT CODES
  0    there is a catalogue, with a row for every cutout, whatever became of it
  1    the same, with strict=true and a row that is not converged
  2    an error: two lines on stderr          130    stopped by Ctrl-C
"""


_SIMULATE = """\
autogal simulate: cutouts with known truth, as a survey would hand them out

  autogal simulate survey=NAME [key=value ...] [options]

A galaxy in the middle (some with bulge and disk, bar, arms or knots), neighbours and stars, seeing, sky,
Poisson noise and, where asked for, correlated noise, dead pixels, saturation and cosmic rays.
The same seed gives the same scenes, however many are drawn.

EXAMPLES
  autogal simulate survey=sdss n=1000 out=scenes
  autogal fit scenes/manifest.csv survey=sdss out=scenes/fit
  autogal simulate survey=hsc n=100 galaxies=run1/catalogue.fits background=blank_sky/
  autogal simulate survey=desi population.neighbours=0 population.composite=0     (lone Sersic galaxies)

WRITES
  manifest.csv         an input of `autogal fit`, with what it lists: ID_image.fits, ID_sigma.fits, ID_psf.fits, ID_mask.fits
  truth.ecsv           the true parameters, in the order and under the names of the catalogue
  ID_instances.fits    a plane a visible source, the target first: its pixels above 1 sigma

KEYS
  out=FOLDER           [autogal_scenes]
  n=100 first=0 seed=0     how many scenes, the number of the first, and which sky
  size=128             side of the stamps, pixels
  galaxies=FILE        a table to draw them from: mag, r_eff_arcsec (or r_eff, pixels), n, q, as in a catalogue of `autogal fit`
  background=FOLDER    FITS images of blank sky, in the survey's units, to put the scenes on
  structure=usual|strong|mixed    strong: galaxies that are mostly structure: rings, lanes, clumps, arms, ...; mixed: half of them
  instances=true|false
  population.KEY=      neighbours overlapping stars offset composite psf_scatter sky_residual gradient correlation defects
  device=auto|cpu|cuda|cuda:1   threads=2

GROUPS  (group=choice; * is the default. Values inside: survey.psf_fwhm=1.1)
{groups}

{options}"""

_TRAIN = """\
autogal train: the networks that find the target and estimate its starting values

  autogal train segmenter|initialiser [key=value ...] [options]

From the simulator, or from your own images. Training starts from the shipped weights where there are any, keeps
its best weights, stops when nothing gets better, and can be resumed after a kill.

EXAMPLES
  autogal train initialiser survey=desi out=my_checkpoints
  autogal train segmenter survey=desi out=my_checkpoints trainer=ddp trainer.devices=4
  autogal train segmenter structure=mixed out=my_checkpoints             (half of the galaxies rings, lanes, clumps, ...)
  autogal train initialiser out=my_checkpoints resume=true               (go on where it was stopped)
  autogal train initialiser data=my_cutouts labels=run1/catalogue.fits   (from fits already made, the good ones)
  autogal train segmenter data=my_cutouts labels=sep                     (sources as SExtractor sees them)
  autogal train initialiser -m network.lr=1e-4,3e-4 survey=sdss,desi     (one folder a job)
  autogal fit cutouts/*.fits initialise=resnet50 checkpoints=my_checkpoints

WRITES
  TASK-SURVEY-SIZE-BAND.safetensors, .json     the weights, and the card that says what they are (without a
                       survey: TASK-general)
  TASK-....training/   states to resume from, log/ (CSV, TensorBoard where installed), predictions.png

KEYS
  out=FOLDER           [autogal_checkpoints]
  checkpoints=FOLDER   weights to start from, in place of the shipped ones       from_scratch=true: random ones
  resume=true          size=128 (of the stamps)     seed=0     workers=4 (that draw scenes)
  network.lr= network.batch= network.steps= network.validate_every=       save_every=5 (minutes)     patience=12
  trainer.devices= trainer.accelerator= trainer.strategy= trainer.precision= trainer.num_nodes=     and any other
                       argument of Lightning's Trainer, with a + before it: +trainer.accumulate_grad_batches=4
  data=FOLDER labels=  your own images; labels: a catalogue of `autogal fit` (initialiser), sep or label images (segmenter)

GROUPS  (group=choice; * is the default. Values inside: survey.psf_fwhm=1.1)
{groups}

{options}"""

_EVALUATE = """\
autogal evaluate: how good masks, starting values and fits are

  autogal evaluate segmenter|initialiser|pipeline|calibration|invariance [key=value ...] [options]

On fresh scenes of the simulator, or on scenes of yours; the chosen methods beside those to compare them with, in
tables by signal-to-noise ratio, size and magnitude, with what is required of the networks.

  segmenter      targets found, overlap of the masks, neighbours found, false sources
  initialiser    scatter and bias of the starting values, truths within 1 sigma
  pipeline       fits from the pipeline's masks and starting values against fits from the true ones; time
  calibration    whether errors are honest: truths inside 1 and 2 sigma of fits of model= to lone galaxies, by
                 uncertainty= and likelihood= as in `autogal fit`; the fits start at the true parameters
  invariance     whether images that are turned, mirrored, shifted, cropped, scaled or lifted give the same values; no
                 truth is needed: data= may be images of yours

EXAMPLES
  autogal evaluate segmenter survey=sdss n=1000
  autogal evaluate segmenter structure=strong         (rings, lanes, clumps: is one galaxy one source?)
  autogal evaluate initialiser checkpoints=my_checkpoints out=my_evaluation
  autogal evaluate pipeline survey=hsc segment=sep initialise=moments compare=false
  autogal evaluate calibration model=bulge_disk uncertainty=both n=1000
  autogal evaluate calibration survey=sdss population.correlation=0.5 uncertainty=bootstrap uncertainty.kind=block
  autogal evaluate invariance data=my_cutouts "transformations=[turns,mirrors]"
  autogal evaluate segmenter data=scenes              (a folder of `autogal simulate`)
  autogal evaluate -m segmenter segment.grow=0.8,1,1.2 compare=false      (one folder a job)

WRITES
  evaluation.json      all tables         evaluation.ecsv    every measurement
  PART.png             the figure         segmenter_METHOD_first.png, _worst.png    outlines on stamps

KEYS
  out=FOLDER           [autogal_evaluation]
  n=512 size=128 seed=0    how many stamps, their side in pixels, and which sky
  data=FOLDER          a folder of `autogal simulate`; or data=NAME: NAME.npz with images, sigma, psf_eff and seg
                       (1 the target, 2, 3, ... neighbours), and NAME_truth.csv with id, x0, y0, flux, mag, zp, re, n,
                       q, pa (from +x), sky, snr, fwhm; of bulge and disk bt, mag_b, re_b, n_b, q_b, pa_b, mag_d, ...
                       of invariance also a folder, a file or a manifest of images, as `autogal fit` takes them
  compare=true|false   beside the chosen methods, the others
  true_masks=true|false    initialiser: inside the true masks, or those of segment=
  structure=usual|strong|mixed    segmenter: scenes of galaxies that are mostly structure, or of which half are
  transformations=[turns,mirrors,shift,scale,pedestal,crops,blocks]    invariance: which are tried
  checkpoints=FOLDER   networks in place of the shipped ones
  population.KEY=      as in `autogal simulate`; with a survey
  device=auto|cpu|cuda|cuda:1   threads=2

GROUPS  (group=choice; * is the default. Values inside: survey.psf_fwhm=1.1)
{groups}

{options}"""

_OPTIONS = """\
OPTIONS
  --cfg job            show the whole configuration, with what was given, and stop
  -m, --multirun       run every combination of the values given with commas (hydra/launcher= works)
  --config-dir FOLDER  your own choices: FOLDER/survey/mine.yaml is survey=mine
  -q, --quiet          say nothing but errors        -v, --verbose    say all that autogal.log has
"""

_PAGES = {"fit": _FIT, "simulate": _SIMULATE, "train": _TRAIN, "evaluate": _EVALUATE}


def overview() -> str:
    """The page of ``autogal --help``."""
    return _OVERVIEW


def page(verb: str, config_dirs: Sequence[str] = ()) -> str:
    """The page of ``autogal <verb> --help``, with the groups there are.

    Parameters
    ----------
    verb : str
    config_dirs : sequence of str
        The user's own folders of groups, listed too.
    """
    lines = []
    for name, choices in groups(verb, config_dirs).items():
        lines += textwrap.wrap(
            f"{name:<21}" + "  ".join(choices),
            width=100,
            initial_indent="  ",
            subsequent_indent=" " * 23,
            break_on_hyphens=False,
        )
    return _PAGES[verb].replace("{groups}", "\n".join(lines)).replace("{options}", _OPTIONS)


def groups(verb: str, config_dirs: Sequence[str] = ()) -> dict[str, list[str]]:
    """The groups of a verb and their choices; the default one ends in ``*``."""
    packaged = resources.files("autogal.conf")
    defaults = _defaults(packaged.joinpath(f"{verb}.yaml").read_text(encoding="utf-8"))
    found: dict[str, set[str]] = {name: set() for name in defaults}
    for folder in [packaged, *(Path(given) for given in config_dirs)]:
        for name in found:
            found[name] |= _choices(folder.joinpath(name))
    return {
        name: [choice + "*" * (choice == defaults[name]) for choice in sorted(choices)]
        for name, choices in found.items()
    }


def _defaults(text: str) -> dict[str, str]:
    """Group and choice of every line ``- group: choice`` of a defaults list, without importing a YAML
    reader."""
    lines = text.partition("defaults:")[2].partition("\n\n")[0].splitlines()
    pairs = (line.partition("#")[0].strip().removeprefix("- ").split(": ") for line in lines)
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2 and not pair[0].startswith("override ")}


def _choices(folder: Traversable) -> set[str]:
    if not folder.is_dir():
        return set()
    return {file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")}
