"""What tests of `segment=maskrcnn` share: its settings, and a stand-in for the trained network."""

import numpy as np
import pytest
import torch
from scipy import ndimage
from torchvision.models.detection.roi_heads import project_masks_on_boxes

from autogal.configuration.composing import compose
from autogal.segment.network import maskrcnn
from autogal.segment.network.architecture import OTHER, TARGET, detection_targets


class Thresholder:
    """Detects what stands out of the first channel, and calls the source nearest to distance zero the
    target."""

    def __init__(self, sees_targets=True):
        self.sees_targets, self.shapes = sees_targets, []

    def __call__(self, stamps):
        self.shapes.append((len(stamps), *stamps[0].shape[1:]))
        return [self.detect(stamp.numpy()) for stamp in stamps]

    def detect(self, stamp):
        smooth = ndimage.gaussian_filter(np.sinh(2 * stamp[0]), 1.5)
        labels, count = ndimage.label(smooth > 1.5)
        masks = torch.from_numpy(
            np.array([labels == k + 1 for k in range(count)]).reshape(count, *labels.shape)
        )
        nearest = np.argmin([stamp[2][mask].min() for mask in masks.numpy()]) if count else -1
        kinds = torch.tensor(
            [TARGET if k == nearest and self.sees_targets else OTHER for k in range(count)], dtype=torch.int64
        )
        truth = detection_targets(masks, kinds)
        small = project_masks_on_boxes(truth["masks"], truth["boxes"], torch.arange(len(truth["boxes"])), 28)[
            :, None
        ]
        return {
            "boxes": truth["boxes"],
            "labels": truth["labels"],
            "masks": small,
            "scores": torch.full((len(small),), 0.9),
        }


@pytest.fixture
def settings():
    return compose(overrides=["segment=maskrcnn"]).segment


@pytest.fixture
def network(monkeypatch):
    network = Thresholder()
    monkeypatch.setattr(maskrcnn, "load_network", lambda *_: network)
    return network
