"""The bundled model on images it has not seen, which are not part of the project."""

from pathlib import Path

import pytest

from napari_unet.images import pair_by_stem, read_image, read_labels
from napari_unet.metrics import average_precision
from napari_unet.segmentation import segment


@pytest.mark.data
def test_bundled_model_finds_nuclei(data_folder: Path):
    test = data_folder / "dsb2018_stardist" / "test"
    evaluation = average_precision(
        (segment(image.data, axes=image.axes), read_labels(labels))
        for image, labels in (
            (read_image(i), t) for i, t in pair_by_stem(test / "images", test / "labels")
        )
    )
    found = {m.threshold: m.ap for m in evaluation.pooled}
    assert len(evaluation.images) == 50
    assert found[0.5] >= 0.78
    assert found[0.7] >= 0.62


@pytest.mark.data
@pytest.mark.parametrize(("name", "least"), [("usiigaci", 0.40), ("bbbc030_cho_dic", 0.87)])
def test_bundled_model_finds_cells(data_folder: Path, name: str, least: float):
    test = data_folder / name / "test"
    evaluation = average_precision(
        (segment(read_image(image).data, "cells"), read_labels(labels))
        for image, labels in pair_by_stem(test / "images", test / "labels")
    )
    assert evaluation.pooled[0].ap >= least
