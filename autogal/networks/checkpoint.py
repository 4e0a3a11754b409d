"""Checkpoints: plain weights (``.safetensors``) and, beside them, a card (``.json``) that says what they are.

Nothing in either is ever executed. A pair is named ``<task>-<survey>-<size>-<band>``, the general one
``<task>-general``; the name without its ending is the pair's stem.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors
from safetensors.torch import save as write_tensors
from torch import Tensor

from autogal.errors import AutogalError
from autogal.runtime.files import atomic

__all__ = ["FORMAT", "GENERAL", "TASKS", "find", "load", "save", "stem_name"]

_log = logging.getLogger(__name__)

TASKS = ("segmenter", "initialiser")  # that networks are trained for
FORMAT = 1  # of the card; a later autogal may need another
GENERAL = "general"
_RETRAIN = "Give another one with checkpoints=FOLDER, or train it: autogal train {task}."


def save(stem: str | Path, state: Mapping[str, Tensor], card: Mapping[str, Any]) -> Path:
    """Write a checkpoint; each of its two files appears whole or not at all.

    Matrices and kernels are stored as float16. Vectors (biases, statistics, scalers) stay as they are:
    they are small, and a variance need not fit into float16.

    Parameters
    ----------
    stem : str or Path
        Path without an ending.
    state : mapping of str to Tensor
        A module's ``state_dict()``.
    card : mapping
        What the network is, JSON values only, with at least ``task`` and ``version`` (of its architecture).

    Returns
    -------
    Path
        The ``.safetensors`` file.

    Raises
    ------
    AutogalError
        For weights that are not finite, or where the file system refuses.
    """
    tensors = {name: _stored(tensor) for name, tensor in state.items()}
    bad = [name for name, tensor in tensors.items() if not torch.isfinite(tensor).all()]
    if bad:
        raise AutogalError(
            f"The weights {bad[0]} are not finite.", "Train with a smaller network.lr; nothing was written."
        )
    data = write_tensors(tensors, metadata={"format": "pt"})
    full = {"format": FORMAT, **card, "sha256": hashlib.sha256(data).hexdigest()}
    text = json.dumps(full, indent=2, allow_nan=False) + "\n"
    weights, description = _files(stem)
    weights.parent.mkdir(parents=True, exist_ok=True)
    # The card last: a new card never stands beside old weights without the checksum saying so.
    with atomic(weights) as path:
        path.write_bytes(data)
    with atomic(description) as path:
        path.write_text(text, encoding="utf-8")
    return weights


def load(stem: str | Path, task: str, **expected: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint, or say why it cannot be used.

    Parameters
    ----------
    stem : str or Path
        Path without an ending; with one of the two endings it is understood too.
    task : str
        What the weights must be for: ``segmenter`` or ``initialiser``.
    **expected
        What else the card must say, as ``version=1, channels=4, classes=3``.

    Returns
    -------
    state : dict of str to Tensor
        float32, on the CPU.
    card : dict

    Raises
    ------
    AutogalError
        Where a file is missing, cut short or altered, or the network is another one than expected.
    """
    weights, description = _files(stem)
    card = _read_card(description, task)
    for key, value in {"format": FORMAT, "task": task, **expected}.items():
        if card.get(key) != value:
            raise AutogalError(
                f"{weights} cannot be used: its {key} is {card.get(key)!r}, {value!r} is needed.",
                _RETRAIN.format(task=task),
            )
    try:
        data = weights.read_bytes()
    except OSError as problem:
        raise AutogalError(
            f"{weights} cannot be read: {problem.strerror}.", _RETRAIN.format(task=task)
        ) from problem
    if hashlib.sha256(data).hexdigest() != card.get("sha256"):
        raise AutogalError(
            f"{weights} is not the file its card describes: it was cut short, altered or exchanged.",
            f"Copy it again together with {description.name}.",
        )
    try:
        tensors = read_tensors(data)
    except (SafetensorError, ValueError, KeyError) as problem:
        raise AutogalError(
            f"{weights} holds no weights that can be read.", _RETRAIN.format(task=task)
        ) from problem
    return {
        name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()
    }, card


def find(
    task: str,
    folder: str | Path | None = None,
    survey: str | None = None,
    size: int | None = None,
    band: str | None = None,
) -> Path | None:
    """The checkpoint that suits a run best: from the user's folder, else a shipped one.

    In each place the order is: the survey's own (of the same band, of the nearest size), the general one. In
    the user's folder anything else is better than nothing, because the folder was named on purpose.

    Parameters
    ----------
    task : str
    folder : str or Path, optional
        The user's checkpoints.
    survey, band : str, optional
    size : int, optional
        Side of the cutouts [px].

    Returns
    -------
    Path or None
        A stem for `load`; None where there is no checkpoint for the task.

    Raises
    ------
    AutogalError
        Where `folder` does not exist, or holds no checkpoint of any network. One that holds another network's
        alone is said once, as a warning.
    """
    if folder is not None:
        if not Path(folder).is_dir():
            raise AutogalError(f"There is no folder {folder} with checkpoints.", "Check checkpoints=.")
        if (
            best := _best(Path(folder).glob(f"{task}-*.safetensors"), survey, size, band, strangers=True)
        ) is not None:
            return best
        if task in TASKS and not any(next(Path(folder).glob(f"{one}-*.safetensors"), None) for one in TASKS):
            raise AutogalError(
                f"The folder {folder} holds no checkpoint.",
                f"`autogal train {task} out={folder}` writes one; its files begin with {task}- and end "
                f"with .safetensors and .json.",
            )
    with resources.as_file(resources.files("autogal.checkpoints")) as shipped:
        best = _best(shipped.glob(f"{task}-*.safetensors"), survey, size, band, strangers=False)
    if folder is not None and best is not None:
        _say_once(f"{folder} holds no checkpoint of the {task}: the shipped one, {best.name}, is used.")
    return best


@lru_cache(maxsize=64)
def _say_once(what: str) -> None:
    _log.warning(what)


def stem_name(task: str, survey: str | None = None, size: int | None = None, band: str | None = None) -> str:
    """The name of a checkpoint: ``initialiser-sdss-128-r``, or ``initialiser-general`` without a survey.

    Parameters
    ----------
    task : str
    survey, band : str, optional
    size : int, optional
        px.

    Returns
    -------
    str
    """
    if survey in (None, "none", GENERAL):
        return f"{task}-{GENERAL}"
    return "-".join([task, survey, str(size or "any"), band or "any"])


def _best(
    files: Iterable[Path], survey: str | None, size: int | None, band: str | None, strangers: bool
) -> Path | None:
    def distance(stem: Path) -> tuple:
        _, origin, its_size, its_band = (stem.name.split("-") + ["any"] * 3)[:4]
        kind = 0 if origin == survey else 1 if origin == GENERAL else 2
        steps = abs(math.log(int(its_size) / size)) if size and its_size.isdigit() and int(its_size) else 0.0
        return kind, its_band != band, steps, stem.name

    ranked = sorted(distance(path.with_suffix("")) + (path.with_suffix(""),) for path in files)
    ranked = [one for one in ranked if strangers or one[0] < 2]
    return ranked[0][-1] if ranked else None


def _files(stem: str | Path) -> tuple[Path, Path]:
    stem = Path(stem)
    if stem.suffix in (".safetensors", ".json"):
        stem = stem.with_suffix("")
    return stem.with_name(stem.name + ".safetensors"), stem.with_name(stem.name + ".json")


def _read_card(path: Path, task: str) -> dict[str, Any]:
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise AutogalError(
            f"The checkpoint's card {path} cannot be read: {problem.strerror}.", _RETRAIN.format(task=task)
        ) from problem
    except ValueError as problem:  # not JSON, or not text at all
        raise AutogalError(f"{path} is not a checkpoint's card.", _RETRAIN.format(task=task)) from problem
    if not isinstance(card, dict):
        raise AutogalError(f"{path} is not a checkpoint's card.", _RETRAIN.format(task=task))
    return card


def _stored(tensor: Tensor) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if tensor.is_floating_point() and tensor.ndim > 1 else tensor.clone()
