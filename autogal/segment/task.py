"""The segmenter as the training sees it."""

from __future__ import annotations

from omegaconf import DictConfig
from torch.utils.data import IterableDataset

from autogal.errors import AutogalError
from autogal.networks.task import Task
from autogal.segment.channels import CHANNELS
from autogal.segment.learning import SegmenterModule
from autogal.segment.network import CLASSES, VERSION
from autogal.simulate.source import SceneDataset, SceneSource

__all__ = ["CARD", "segmenter_task"]

CARD = {"version": VERSION, "channels": list(CHANNELS), "classes": list(CLASSES)}  # what weights must say to fit

_SIZE = 128  # px
_VALIDATION = 7_000_003  # seed far from any a user gives, so that no scene is ever seen twice
_SHOWN = ("val/found", "val/iou", "val/neighbours", "val/covered", "val/false")


def segmenter_task(settings: DictConfig) -> Task:
    """The training of the segmentation network from the simulator.

    Parameters
    ----------
    settings : DictConfig
        From ``conf/train.yaml``.
    """
    if settings.data is not None:
        raise AutogalError("The segmenter is trained from the simulator only.", "Leave data= out.")
    network = settings.network
    name = "general" if settings.survey.name == "none" else settings.survey.name
    size = settings.size or _SIZE
    module = SegmenterModule(network.lr, network.weight_decay, network.steps, network.warm_up)

    def examples(first: int, rank: int, world: int) -> IterableDataset:
        source = SceneSource(name, (size, size), seed=settings.seed)
        return SceneDataset(source, network.batch, first=first, rank=rank, world=world)

    def validation(rank: int, world: int) -> IterableDataset:
        # at least one batch for every process, or those without would be waited for
        steps = max(world, -(-network.validate_on // network.batch))
        return SceneDataset(SceneSource(name, (size, size), seed=_VALIDATION), network.batch, steps=steps, rank=rank, world=world)

    return Task("segmenter", module, CARD, examples, validation, "val/quality", "max", _SHOWN,
                {"simulator": name, "stamp sizes": [size]})
