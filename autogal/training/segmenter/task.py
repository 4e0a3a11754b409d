"""The segmenter as the training sees it."""

from __future__ import annotations

from omegaconf import DictConfig
from torch.utils.data import IterableDataset

from autogal.errors import AutogalError
from autogal.segment.network.architecture import CLASSES, VERSION
from autogal.segment.network.channels import CHANNELS
from autogal.simulate.source import SceneDataset, SceneSource, build_population
from autogal.training.segmenter.labelled import Labelled, LabelledBatch, labelled_stamps, validation_batches
from autogal.training.segmenter.learning import SegmenterModule
from autogal.training.task import Task

__all__ = ["CARD", "segmenter_task"]

CARD = {
    "version": VERSION,
    "channels": list(CHANNELS),
    "classes": list(CLASSES),
}  # what weights must say to fit

_SIZES = (128, 96, 128, 224)  # px; stamps of a general network, in turn, before they are cropped
_VALIDATION = 7_000_003  # seed far from any a user gives, so that no scene is ever seen twice
_SHOWN = ("val/found", "val/iou", "val/neighbours", "val/covered", "val/false")


def segmenter_task(settings: DictConfig) -> Task:
    """The training of the segmentation network, from the simulator or from ``settings.data``.

    Parameters
    ----------
    settings : DictConfig
        From ``conf/train.yaml``.
    """
    network = settings.network
    module = SegmenterModule(network.lr, network.weight_decay, network.steps, network.warm_up)
    if settings.data is not None:
        return _labelled_task(settings, module)
    name = "general" if settings.survey.name == "none" else settings.survey.name
    sizes = [settings.size] if settings.size else _SIZES

    def sources(seed: int) -> list[SceneSource]:
        return [
            SceneSource(build_population(name, settings.structure), (size, size), seed=seed) for size in sizes
        ]

    def examples(first: int, rank: int, world: int) -> IterableDataset:
        return SceneDataset(sources(settings.seed), network.batch, first=first, rank=rank, world=world)

    def validation(rank: int, world: int) -> IterableDataset:
        # at least one batch for every process, or those without would be waited for
        steps = max(world, -(-network.validate_on // network.batch))
        return SceneDataset(sources(_VALIDATION), network.batch, steps=steps, rank=rank, world=world)

    return Task(
        "segmenter",
        module,
        CARD,
        examples,
        validation,
        "val/quality",
        "max",
        _SHOWN,
        {"simulator": name, "structure": settings.structure, "stamp sizes": list(sizes)},
    )


def _labelled_task(settings: DictConfig, module: SegmenterModule) -> Task:
    if settings.labels is None:
        raise AutogalError(
            "data= is given without labels=.",
            "Give labels=sep, or a folder of label images, as labels=my_labels/.",
        )
    batch = settings.network.batch
    training, aside = labelled_stamps(settings)

    def examples(first: int, rank: int, world: int) -> Labelled:
        return Labelled(training, batch, first, rank, world, settings.seed)

    def validation(rank: int, world: int) -> list[LabelledBatch]:
        return validation_batches(aside, batch, rank, world)

    return Task(
        "segmenter",
        module,
        CARD,
        examples,
        validation,
        "val/quality",
        "max",
        _SHOWN,
        {"images": len(training), "labels": settings.labels},
    )
