"""Small checkpoints without training, a small suite, and the verb."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from autogal import cli
from autogal.initialise.network.architecture import CARD as START_CARD
from autogal.initialise.network.architecture import StartNetwork
from autogal.networks import save
from autogal.segment.network.architecture import build_network
from autogal.training.segmenter.task import CARD as MASK_CARD


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """Networks that have learnt nothing."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("checkpoints")
    save(folder / "segmenter-general", build_network().state_dict(), {"task": "segmenter", **MASK_CARD})
    network = StartNetwork()
    torch.nn.init.normal_(network.last.weight, std=1e-3)
    network.target_mean[3] = -1.0  # ln R: a radius that a galaxy may have
    save(folder / "initialiser-general", network.state_dict(), {"task": "initialiser", **START_CARD})
    return folder


@pytest.fixture
def evaluate(tmp_path, monkeypatch, capsys):
    """Run the verb; gives the exit code, what was printed and the content of evaluation.json."""
    monkeypatch.chdir(tmp_path)

    def run(part, *words):
        code = cli.main(
            ["evaluate", *([part] if part else []), "out=here", "device=cpu", "threads=1", *map(str, words)]
        )
        path = tmp_path / "here" / "evaluation.json"
        return code, capsys.readouterr(), json.loads(path.read_text()) if path.is_file() else None

    return run


@pytest.fixture
def suite(tmp_path):
    """Write a suite of bright, lone galaxies; each keyword replaces an array, or a column of the truth."""
    from astropy.table import Table

    import autogal
    from autogal.images import moffat

    def write(name="suite", without=(), **changed):
        count, side = 6, 64
        truth = Table(
            {
                "id": np.arange(count),
                "x0": 31.5 + np.linspace(-1, 1, count),
                "y0": np.full(count, 32.0),
                "flux": np.full(count, 3e4),
                "re": np.linspace(3, 6, count),
                "n": np.full(count, 1.5),
                "q": np.full(count, 0.5),
                "pa": np.linspace(10, 170, count),
                "sky": np.full(count, 0.3),
                "fwhm": np.full(count, 3.0),
            }
        )
        truth["mag"], truth["zp"] = 25 - 2.5 * np.log10(truth["flux"]), 25.0
        psf = moffat(3.0)
        model = Table(
            {
                "x": truth["x0"],
                "y": truth["y0"],
                "mag": truth["mag"],
                "r_eff": truth["re"],
                "n": truth["n"],
                "q": truth["q"],
                "pa": (truth["pa"] - 90) % 180,
            }
        )
        light = autogal.render(model, psf=psf, shape=(side, side))
        sigma = np.sqrt(light.clip(0) + 100)
        truth["snr"] = np.sqrt(np.sum((light / sigma) ** 2, axis=(1, 2)))
        arrays = {
            "images": light + np.random.default_rng(1).normal(0, sigma) + 0.3,
            "sigma": sigma,
            "psf_eff": np.repeat(psf[None], count, 0),
            "seg": (light > sigma).astype(np.uint8),
        }
        for key, value in changed.items():
            if key in arrays:
                arrays[key] = value
            else:
                truth[key] = value
        for key in without:
            arrays.pop(key, None)
            if key in truth.colnames:
                truth.remove_column(key)
        np.savez(tmp_path / f"{name}.npz", **arrays)
        truth.write(tmp_path / f"{name}_truth.csv", format="ascii.csv", overwrite=True)
        return tmp_path / name

    return write
