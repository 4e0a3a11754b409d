"""The network's shape, its truth, and what becomes of its detections. No trained weights are needed."""

import pytest
import torch
from torchvision.models.detection.roi_heads import project_masks_on_boxes

from autogal.segment.network.architecture import OTHER, TARGET, build_network, detection_targets, paste_masks
from autogal.segment.network.channels import CHANNELS
from autogal.segment.network.detections import choose_sources
from autogal.training.segmenter.scoring import score_stamp, summarise


def disk(x, y, radius, shape=(64, 64)):
    yy, xx = torch.meshgrid(torch.arange(shape[0]), torch.arange(shape[1]), indexing="ij")
    return (xx - x) ** 2 + (yy - y) ** 2 <= radius**2


def detections(*sources, shape=(64, 64)):
    """As the network returns them, for (mask, class, score) each."""
    truth = [detection_targets(mask[None], torch.tensor([kind])) for mask, kind, _ in sources]
    boxes = torch.cat([one["boxes"] for one in truth]) if truth else torch.zeros(0, 4)
    masks = [
        project_masks_on_boxes(one["masks"], one["boxes"], torch.zeros(1, dtype=torch.int64), 28)[:, None]
        for one in truth
    ]
    return {
        "boxes": boxes,
        "masks": torch.cat(masks) if masks else torch.zeros(0, 1, 28, 28),
        "labels": torch.tensor([kind for _, kind, _ in sources], dtype=torch.int64),
        "scores": torch.tensor([score for *_, score in sources]),
    }


def overlap(a, b):
    return float((a & b).sum() / (a | b).sum())


def test_nothing_is_downloaded(monkeypatch):
    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", lambda *_, **__: pytest.fail("downloaded"))
    network = build_network()
    assert not any(isinstance(layer, torch.nn.modules.batchnorm._BatchNorm) for layer in network.modules())
    assert (
        sum(p.numel() for p in network.parameters()) < 20e6
    )  # both shipped networks together take 90 MB at most


@pytest.mark.parametrize("side", [64, 96, 160])
def test_any_size_goes_through_as_it_is(side):
    network = build_network(score=0.0).eval()
    seen = []
    network.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    stamps = torch.randn(2, len(CHANNELS), side, side)
    with torch.no_grad():
        found = network(list(stamps))
    assert torch.equal(seen[0], stamps)  # neither resized nor normalised again
    assert all(len(one["boxes"]) and one["boxes"].max() <= side for one in found)


def test_what_is_detected_does_not_depend_on_the_batch():
    torch.manual_seed(3)
    network = build_network(score=0.0).eval()
    stamps = torch.randn(3, len(CHANNELS), 64, 64)
    with torch.no_grad():
        together, alone = network(list(stamps))[1], network([stamps[1]])[0]
    torch.testing.assert_close(together["scores"], alone["scores"], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("radius", [1.5, 2.5, 5, 15, 30])
@pytest.mark.parametrize("centre", [(32, 32), (31.5, 20.2), (3, 60)])
def test_a_mask_survives_its_box(radius, centre):
    true = disk(*centre, radius)
    found = detections((true, TARGET, 1.0))
    assert overlap(paste_masks(found["masks"], found["boxes"], (64, 64))[0] > 0.5, true) > 0.9


def test_truth_has_no_box_without_area_and_no_source_too_small_to_see():
    line, point, nothing = torch.zeros(3, 64, 64, dtype=torch.bool)
    line[10, 10:16], point[5, 5] = True, True
    truth = detection_targets(
        torch.stack([disk(30, 30, 6), line, point, nothing]), torch.tensor([TARGET, OTHER, OTHER, OTHER])
    )
    assert truth["labels"].tolist() == [TARGET, OTHER]
    assert truth["boxes"].tolist() == [[23.5, 23.5, 36.5, 36.5], [9.5, 9.5, 15.5, 10.5]]


def test_exactly_one_target_and_it_is_the_central_one():
    found = detections(
        (disk(33, 31, 6), TARGET, 0.7), (disk(50, 50, 6), TARGET, 0.99), (disk(10, 10, 4), OTHER, 0.9)
    )
    sources = choose_sources(found, (31.5, 31.5), (64, 64))
    assert overlap(sources.target, disk(33, 31, 6)) > 0.9
    assert len(sources.neighbours) == 2 and overlap(sources.neighbours[0], disk(50, 50, 6)) > 0.9


def test_a_source_seen_twice_is_one():
    found = detections(
        (disk(32, 32, 6), TARGET, 0.6),
        (disk(32, 32, 7), OTHER, 0.9),
        (disk(10, 10, 5), OTHER, 0.8),
        (disk(10, 11, 5), TARGET, 0.9),
        (disk(50, 10, 5), OTHER, 0.4),
    )
    sources = choose_sources(found, (31.5, 31.5), (64, 64), score=0.5)
    assert overlap(sources.target, disk(32, 32, 6)) > 0.9
    assert len(sources.neighbours) == 1 and overlap(sources.neighbours[0], disk(10, 11, 5)) > 0.9


@pytest.mark.parametrize(
    "found",
    [detections(), detections((disk(32, 32, 6), OTHER, 0.99)), detections((disk(58, 58, 6), TARGET, 0.99))],
)
def test_no_target_is_an_answer(found):
    sources = choose_sources(found, (31.5, 31.5), (64, 64))
    assert not sources.target.any() and sources.score == 0 and len(sources.neighbours) == len(found["boxes"])


@pytest.mark.parametrize(
    ("found", "doubtful"),
    [
        (detections((disk(32, 32, 9), TARGET, 0.95), (disk(50, 50, 5), OTHER, 0.9)), False),
        (detections(), True),
        (detections((disk(32, 32, 9), TARGET, 0.5)), True),
        (detections((disk(32, 32, 12), TARGET, 0.95), (disk(36, 32, 3), OTHER, 0.9)), True),
        (
            detections((disk(32, 32, 9), TARGET, 0.95), (disk(41, 32, 6), OTHER, 0.9)),
            False,
        ),  # overlaps, and reaches out
    ],
)
def test_what_is_looked_at_again(found, doubtful):
    assert choose_sources(found, (31.5, 31.5), (64, 64)).are_doubtful == doubtful


def test_the_smaller_source_lies_on_top():
    found = detections(
        (disk(32, 32, 20), TARGET, 0.9), (disk(38, 32, 3), OTHER, 0.9), (disk(32, 58, 5), OTHER, 0.8)
    )
    labels = choose_sources(found, (31.5, 31.5), (64, 64)).labels()
    assert labels[32, 38] == 2 and labels[32, 32] == 1 and labels[58, 32] == 3 and labels[0, 0] == 0


def test_scores_of_a_stamp():
    instances = torch.stack([disk(32, 32, 8), disk(10, 10, 5), disk(55, 55, 5)])
    image = (instances * torch.tensor([10.0, 8.0, 0.5])[:, None, None]).sum(
        0
    )  # the last is too faint to count
    perfect = detections((instances[0], TARGET, 0.9), (instances[1], OTHER, 0.9))
    one = score_stamp(choose_sources(perfect, (31.5, 31.5), (64, 64)), instances, image)
    assert (
        one["found"] == 1
        and one["iou"] > 0.95
        and (one["bright"], one["bright_found"], one["false"]) == (1, 1, 0)
    )
    wrong = detections((instances[1], TARGET, 0.9), (disk(55, 10, 5), OTHER, 0.9))
    two = score_stamp(choose_sources(wrong, (10, 10), (64, 64)), instances, image)
    assert (
        two["found"] == 0
        and two["iou"] == 0
        and (two["bright_found"], two["false"], two["sources"]) == (0, 1, 2)
    )
    both = summarise([one, two])
    assert both["found"] == 0.5 and both["neighbours"] == 0.5 and both["false"] == 0.25
