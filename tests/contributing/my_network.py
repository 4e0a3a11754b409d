"""A network of one's own: how it is trained, and how a fit asks it for starting values. Nothing in the
package changes.

`autogal train network=my_network --config-dir=.` reads network/my_network.yaml, whose name is
``my_network:task``; `autogal fit ... initialise.name=my_network:predict checkpoints=FOLDER` uses what was
trained.
"""

import pytorch_lightning as lightning
import torch
from torch.utils.data import IterableDataset

from autogal.networks.ready import trained
from autogal.simulate import SceneSource
from autogal.training.optimiser import adamw
from autogal.training.task import Task

NAME = "size_network"
CARD = {"version": 1}  # what a checkpoint must say for its weights to fit


class SizeNetwork(torch.nn.Module):
    """ln r_eff [px] from how much of the light is within 2, 4 and 8 px."""

    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(3, 16), torch.nn.GELU(), torch.nn.Linear(16, 1))

    def forward(self, images):
        rows, columns = (torch.arange(side) - (side - 1) / 2 for side in images.shape[1:])
        radius = torch.hypot(rows[:, None], columns)
        inside = torch.stack([(images * (radius < limit)).sum((1, 2)) for limit in (2, 4, 8)], 1)
        return self.layers(inside / images.abs().sum((1, 2)).clamp(min=1e-6)[:, None])[:, 0]


class Learning(lightning.LightningModule):
    """Least squares."""

    def __init__(self, lr):
        super().__init__()
        self.network, self.lr = SizeNetwork(), lr

    def configure_optimizers(self):
        return adamw(self.network, self.lr, 0.01, lambda step: 1.0)

    def _loss(self, batch):
        return (self.network(batch.image) - batch.truth["r_eff"].log()).square().mean()

    def training_step(self, batch, index):
        return self._loss(batch)

    def validation_step(self, batch, index):
        self.log("val/loss", self._loss(batch), sync_dist=True, batch_size=len(batch))


class Scenes(IterableDataset):
    """Simulated stamps, from one step on, of one process of several."""

    def __init__(self, batch, first, rank, world, steps=None, seed=0):
        self.source, self.batch, self.first, self.rank, self.world, self.steps = (
            SceneSource(shape=(48, 48), seed=seed),
            batch,
            first,
            rank,
            world,
            steps,
        )

    def __iter__(self):
        step = self.first + self.rank
        while self.steps is None or step < self.first + self.steps:
            yield self.source.draw(self.batch, step)
            step += self.world


def task(settings):
    """What the trainer needs to know."""
    batch = settings.network.batch
    return Task(
        NAME,
        Learning(settings.network.lr),
        CARD,
        lambda first, rank, world: Scenes(batch, first, rank, world),
        lambda rank, world: Scenes(batch, 0, rank, world, steps=2, seed=1),
        "val/loss",
        "min",
        ("val/loss",),
        {"simulator": "general"},
    )


def predict(cutouts, segmentations, settings, device):
    """Starting values in a fit: the size is the network's, the rest is measured."""
    starts = []
    for cutout in cutouts:
        network = trained(
            SizeNetwork,
            NAME,
            "initialise.name=my_network:predict",
            "initialise=moments",
            settings,
            min(cutout.shape),
            device,
            **CARD,
        )
        image = torch.from_numpy((cutout.image - cutout.image[~cutout.mask].mean()).astype("float32"))
        starts.append({"r_eff": float(network(image[None]).exp().clamp(0.5, 20))})
    return starts
