"""The types of the configuration's nodes: what each verb's YAML files may hold, apart from the open
groups."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "SCHEMAS",
    "CatalogueSettings",
    "EvaluateSettings",
    "FitSettings",
    "LimitSettings",
    "NoiseSettings",
    "ObjectSettings",
    "PopulationSettings",
    "PsfSettings",
    "SimulateSettings",
    "SurveyFacts",
    "TrainSettings",
]


@dataclass
class SurveyFacts:
    """What is known of a survey, in its own image units; None: not known.

    ``psf_fwhm`` in arcsec, ``gain`` in electrons per image unit, ``sky_sigma``
    in image units per pixel, ``magnitude`` the bright and the faint end.
    """

    name: str = "none"
    band: str | None = None
    pixel_scale: float | None = None
    zeropoint: float | None = None
    psf_fwhm: float | None = None
    psf_beta: float | None = None
    gain: float | None = None
    sky_sigma: float | None = None
    saturation: float | None = None
    magnitude: list[float] | None = None


@dataclass
class PsfSettings:
    """The point-spread function of all cutouts, and how PSF images are to be read."""

    path: str | None = None
    kind: str = "effective"
    oversample: int | None = None


@dataclass
class NoiseSettings:
    """What is made of noise that is correlated from pixel to pixel."""

    correlation: str = "auto"
    whiten: bool = False


@dataclass
class CatalogueSettings:
    """The catalogue's file."""

    format: str = "fits"


@dataclass
class ObjectSettings:
    """What is written for each object on its own; True, False or "auto"."""

    fits: Any = "auto"
    png: Any = "auto"
    limit: int = 200


@dataclass
class LimitSettings:
    """What is refused before it is read."""

    image: float | None = None


@dataclass
class FitSettings:
    """Every key of ``autogal fit`` outside the method groups; see ``conf/fit.yaml``."""

    out: str = "autogal_run"
    overwrite: bool = False
    strict: bool = False
    device: str = "auto"
    dtype: str = "float32"
    seed: int = 0
    block: int | None = None
    threads: int | None = None
    checkpoints: str | None = None
    neighbours: str = "auto"
    given_starts: str = "auto"
    restarts: int = 6
    limits: LimitSettings = field(default_factory=LimitSettings)
    psf: PsfSettings = field(default_factory=PsfSettings)
    sigma: str | None = None
    noise: NoiseSettings = field(default_factory=NoiseSettings)
    mask: str | None = None
    zeropoint: float | None = None
    pixel_scale: float | None = None
    gain: float | None = None
    saturation: float | None = None
    hdu: Any = None
    catalogue: CatalogueSettings = field(default_factory=CatalogueSettings)
    objects: ObjectSettings = field(default_factory=ObjectSettings)
    survey: SurveyFacts = field(default_factory=SurveyFacts)
    model: dict[str, Any] = field(default_factory=dict)
    likelihood: dict[str, Any] = field(default_factory=dict)
    solver: dict[str, Any] = field(default_factory=dict)
    uncertainty: dict[str, Any] = field(default_factory=dict)
    segment: dict[str, Any] = field(default_factory=dict)
    initialise: dict[str, Any] = field(default_factory=dict)
    trainer: dict[str, Any] = field(default_factory=dict)


@dataclass
class PopulationSettings:
    """What `autogal simulate` draws from besides the survey; see `autogal.simulate.Population` and
    `Structure`."""

    neighbours: int = 6
    overlapping: float = 0.3
    stars: float = 0.3
    offset: float = 2.0
    composite: float = 0.2
    psf_scatter: float = 0.08
    sky_residual: float = 0.05
    gradient: float = 0.0
    correlation: float = 0.0
    defects: float = 0.0


@dataclass
class SimulateSettings:
    """Every key of ``autogal simulate``; see ``conf/simulate.yaml``."""

    out: str = "autogal_scenes"
    n: int = 100
    size: int = 128
    first: int = 0
    seed: int = 0
    device: str = "auto"
    threads: int | None = None
    galaxies: str | None = None
    background: str | None = None
    instances: bool = True
    structure: str = "usual"
    population: PopulationSettings = field(default_factory=PopulationSettings)
    survey: SurveyFacts = field(default_factory=SurveyFacts)


@dataclass
class TrainSettings:
    """Every key of ``autogal train`` outside the groups; see ``conf/train.yaml``."""

    out: str = "autogal_checkpoints"
    checkpoints: str | None = None
    from_scratch: bool = False
    resume: bool = False
    seed: int = 0
    size: int | None = None
    structure: str = "usual"
    workers: int = 0
    save_every: float = 5.0
    patience: int = 12
    data: str | None = None
    labels: str | None = None
    survey: SurveyFacts = field(default_factory=SurveyFacts)
    network: dict[str, Any] = field(default_factory=dict)
    trainer: dict[str, Any] = field(default_factory=dict)


@dataclass
class EvaluateSettings:
    """Every key of ``autogal evaluate`` outside the method groups; see ``conf/evaluate.yaml``."""

    part: str = "segmenter"
    out: str = "autogal_evaluation"
    n: int = 512
    size: int = 128
    seed: int = 0
    data: str | None = None
    compare: bool = True
    true_masks: bool = True
    structure: str = "usual"
    transformations: list[str] = field(default_factory=list)
    checkpoints: str | None = None
    device: str = "auto"
    threads: int | None = None
    population: PopulationSettings = field(default_factory=PopulationSettings)
    survey: SurveyFacts = field(default_factory=SurveyFacts)
    model: dict[str, Any] = field(default_factory=dict)
    likelihood: dict[str, Any] = field(default_factory=dict)
    solver: dict[str, Any] = field(default_factory=dict)
    uncertainty: dict[str, Any] = field(default_factory=dict)
    segment: dict[str, Any] = field(default_factory=dict)
    initialise: dict[str, Any] = field(default_factory=dict)


#: The types of each verb's configuration
SCHEMAS = {
    "fit": FitSettings,
    "simulate": SimulateSettings,
    "train": TrainSettings,
    "evaluate": EvaluateSettings,
}
