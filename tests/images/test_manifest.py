"""What is a list of images, and what is not."""

from __future__ import annotations

import numpy as np
import pytest

import autogal
from autogal.errors import AutogalError
from autogal.images import find_entries


@pytest.mark.parametrize("kind", ["fits", "ecsv", "parquet"])
def test_the_catalogue_of_a_run_is_no_list_of_images_and_is_told_so(tmp_path, kind):
    image = np.random.default_rng(1).normal(size=(1, 40, 40))
    image[0, 18:22, 18:22] += 40
    path = tmp_path / f"catalogue.{kind}"
    autogal.fit(image, segment="none", initialise="moments", device="cpu").write(str(path))
    with pytest.raises(AutogalError, match="catalogue of a run") as told:
        find_entries([str(path)])
    assert "start=" in told.value.remedy
