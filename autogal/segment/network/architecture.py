"""The Mask R-CNN of the segmenter: torchvision's, cut to the size of galaxies on small stamps."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample
from torchvision.models import resnet18
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.ops import FeaturePyramidNetwork, MultiScaleRoIAlign

from autogal.segment.network.channels import CHANNELS

__all__ = ["CLASSES", "OTHER", "TARGET", "VERSION", "build_network", "detection_targets", "paste_masks"]

CLASSES = ("sky", "other", "target")  # written in every checkpoint's card
OTHER, TARGET = 1, 2
VERSION = 1  # of the architecture and of what its input means

_ANCHORS = ((4, 7), (12, 20), (34, 56), (90, 128))  # px, of the features of stride 4, 8, 16, 32
_WIDTH, _OUTLINE = 128, 64  # channels of the pyramid and of the mask head
_SMALLEST = 4  # px; sources of fewer pixels are not asked for


class _Pyramid(nn.Module):
    """ResNet-18 with group normalisation, and a feature pyramid on its four stages."""

    out_channels = _WIDTH

    def __init__(self) -> None:
        super().__init__()
        # Batch statistics of a few stamps are too noisy to train on; groups need no batch.
        body = resnet18(weights=None, norm_layer=partial(nn.GroupNorm, 16))
        body.conv1 = nn.Conv2d(len(CHANNELS), 64, 7, stride=2, padding=3, bias=False)
        self.stem = nn.Sequential(body.conv1, body.bn1, body.relu, body.maxpool)
        self.stages = nn.ModuleList([body.layer1, body.layer2, body.layer3, body.layer4])
        self.pyramid = FeaturePyramidNetwork(
            [64, 128, 256, 512], _WIDTH, norm_layer=partial(nn.GroupNorm, 16)
        )

    def forward(self, stamps: Tensor) -> OrderedDict[str, Tensor]:
        features, found = self.stem(stamps), OrderedDict()
        for number, stage in enumerate(self.stages):
            found[str(number)] = features = stage(features)
        return self.pyramid(found)


class _AsIs(GeneralizedRCNNTransform):
    """Stamps stay as they are: normalised already, not resized, and masks are pasted by `paste_masks`."""

    def __init__(self) -> None:
        super().__init__(0, 0, [0.0], [1.0])

    def normalize(self, image):
        return image

    def resize(self, image, target=None):
        return image, target

    def postprocess(self, result, image_shapes, original_image_sizes):
        return result


def build_network(score: float = 0.2) -> MaskRCNN:
    """Mask R-CNN with random weights; nothing is downloaded.

    What differs from torchvision's own: group normalisation throughout, anchors of 4-128 px, regions pooled
    from the features that fit sizes on small stamps, and a few dozen proposals in place of a thousand, for
    tens of milliseconds a stamp in place of a second.

    Parameters
    ----------
    score : float
        Detections below it are not returned.

    Returns
    -------
    MaskRCNN
        Takes a list of tensors from `input_channels`, all of one shape; gives for each ``boxes`` [K, 4],
        ``labels`` [K] (`OTHER`, `TARGET`), ``scores`` [K] and ``masks`` [K, 1, 28, 28], which belong to the
        boxes. Boxes count in 0-indexed pixel centres: pixel i reaches from i - 1/2 to i + 1/2.
    """
    # A region of 16 px is pooled from the features of stride 4, whose two finest anchors are smaller.
    pool = partial(
        MultiScaleRoIAlign, ["0", "1", "2", "3"], sampling_ratio=2, canonical_scale=32, canonical_level=3
    )
    network = MaskRCNN(
        _Pyramid(),
        rpn_anchor_generator=AnchorGenerator(_ANCHORS, ((0.5, 1.0, 2.0),) * len(_ANCHORS)),
        rpn_pre_nms_top_n_train=500,
        rpn_post_nms_top_n_train=200,
        rpn_pre_nms_top_n_test=200,
        rpn_post_nms_top_n_test=60,
        rpn_batch_size_per_image=128,
        box_roi_pool=pool(output_size=7),
        box_head=TwoMLPHead(_WIDTH * 7 * 7, 512),
        box_predictor=_BoxPredictor(512),
        box_score_thresh=score,
        box_detections_per_img=30,
        box_batch_size_per_image=32,
        mask_roi_pool=pool(output_size=14),
        mask_head=MaskRCNNHeads(_WIDTH, (_OUTLINE,) * 3, 1, norm_layer=partial(nn.GroupNorm, 16)),
        mask_predictor=MaskRCNNPredictor(_OUTLINE, _OUTLINE, len(CLASSES)),
        image_mean=[0.0],
        image_std=[1.0],
    )
    network.transform = _AsIs()
    return network


class _BoxPredictor(nn.Module):
    """Class scores and boxes of a region."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(features, len(CLASSES))
        self.bbox_pred = nn.Linear(features, 4 * len(CLASSES))

    def forward(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        return self.cls_score(regions), self.bbox_pred(regions)


def detection_targets(instances: Tensor, classes: Tensor) -> dict[str, Tensor]:
    """The truth of one stamp as torchvision wants it.

    Parameters
    ----------
    instances : Tensor of bool, shape (K, H, W)
        Pixels of each source.
    classes : Tensor of int, shape (K,)
        `OTHER` or `TARGET`.

    Returns
    -------
    dict
        ``boxes`` [L, 4], ``labels`` [L] and ``masks`` [L, H, W] of the sources that have pixels enough to be
        found; L may be 0. Every box has an area.
    """
    kept = instances.flatten(1).sum(dim=1) >= _SMALLEST
    masks = instances[kept]
    sides = []
    for along in (masks.any(dim=1), masks.any(dim=2)):  # columns, rows
        first = along.int().argmax(dim=1)
        last = along.shape[1] - 1 - along.flip(1).int().argmax(dim=1)
        sides.append((first - 0.5, last + 0.5))
    boxes = torch.stack([sides[0][0], sides[1][0], sides[0][1], sides[1][1]], dim=1)
    return {"boxes": boxes.float(), "labels": classes[kept].long(), "masks": masks.to(torch.uint8)}


def paste_masks(masks: Tensor, boxes: Tensor, shape: tuple[int, int]) -> Tensor:
    """Probabilities that pixels belong to the detections, from the masks of their boxes.

    torchvision's own pasting rounds boxes to whole pixels, which moves the outline of a small source by half
    its size.

    Parameters
    ----------
    masks : Tensor, shape (K, 1, M, M)
    boxes : Tensor, shape (K, 4)
    shape : (rows, columns)

    Returns
    -------
    Tensor, shape (K, H, W)
        Zero outside the boxes.
    """
    if not len(masks):
        return masks.new_zeros((0, *shape))
    x0, y0, x1, y1 = (side[:, None] for side in boxes.unbind(dim=1))
    x = 2 * (torch.arange(shape[1], device=boxes.device) - x0) / (x1 - x0).clamp(min=1e-3) - 1
    y = 2 * (torch.arange(shape[0], device=boxes.device) - y0) / (y1 - y0).clamp(min=1e-3) - 1
    grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), dim=-1)
    pasted = grid_sample(masks, grid.to(masks.dtype), padding_mode="border", align_corners=False)[:, 0]
    return pasted * (grid.abs() <= 1).all(dim=-1)
