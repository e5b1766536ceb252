"""What averaging did, in the report of a run: the same for every division into blocks and sessions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from napari_restore import api
from napari_restore.engine.compute.fusion_counts import FusionCounts, merged_counts

SETTINGS: dict[str, Any] = {"tile": 64, "halo": 8, "blend": 8, "workers": 1, "neighbours": "T", "axes": "TYX"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Still for four planes; a dropped frame; another scene."""
    rng = np.random.default_rng(0)
    one, two = (np.kron(rng.uniform(10, 90, (9, 12)), np.ones((8, 8))) for _ in range(2))
    planes: list[NDArray[Any]] = [rng.poisson(one) for _ in range(4)]
    planes += [np.zeros_like(planes[0]), *(rng.poisson(two) for _ in range(3))]
    path = tmp_path_factory.mktemp("stack") / "in.zarr"
    zarr.create_array(path, data=np.array(planes, np.uint16), chunks=(1, 72, 96))
    return path


def run(stack: Path, output: Path, model: Path, chunks: tuple[int, ...]) -> dict[str, Any]:
    api.denoise(stack, output, model=model, chunks=chunks, shards=chunks, **SETTINGS)
    found = merged_counts(session["neighbours"] for session in api.run_report(output).content["sessions"])
    assert found is not None
    return found


def test_weights_noise_and_left_out_planes(stack: Path, tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    found = run(stack, tmp_path / "a.zarr", checkpoints["denoiser"], (1, 72, 96))
    plane = 72 * 96
    assert list(found["weights"]) == ["T-3", "T-2", "T-1", "T+1", "T+2", "T+3"]
    # Of seven pairs of planes at distance 1, two are of the dropped frame; of six at distance 2, two are of the frame
    # and one of two scenes. The rest agree, up to noise.
    for step, pairs, agree in (("T-1", 7, 5), ("T+2", 6, 3)):
        assert found["weights"][step]["pixels"] == pairs * plane
        assert 0.7 * agree / pairs < found["weights"][step]["mean"] <= agree / pairs
    assert found["noise_left"]["pixels"] == 8 * plane and 0.5 < found["noise_left"]["mean"] < 0.75
    assert found["left_out"] == [
        "T 1 and 4: constant", "T 2 and 4: constant", "T 2 and 5: shows something else", "T 3 and 4: constant",
        "T 3 and 5: shows something else", "T 3 and 6: shows something else", "T 4 and 5: constant",
        "T 4 and 6: constant", "T 4 and 7: constant",
    ]  # fmt: skip
    page = str(api.run_report(tmp_path / "a.zarr"))
    assert f"T-1 {found['weights']['T-1']['mean']:.2f}" in page and "pairs of planes that were not averaged: 9" in page
    assert "- T 3 and 5: shows something else" in page


def test_no_matter_how_blocks_are_cut(stack: Path, tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    expected = run(stack, tmp_path / "a.zarr", checkpoints["denoiser"], (1, 72, 96))
    found = run(stack, tmp_path / "b.zarr", checkpoints["denoiser"], (3, 30, 41))
    assert sorted(found["left_out"]) == expected["left_out"]
    for name, weight in expected["weights"].items():
        assert found["weights"][name]["pixels"] == weight["pixels"]
        assert found["weights"][name]["mean"] == pytest.approx(weight["mean"], abs=1e-3)
    assert found["noise_left"]["mean"] == pytest.approx(expected["noise_left"]["mean"], abs=1e-3)


def test_without_neighbours_nothing_is_said(stack: Path, tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    output = tmp_path / "a.zarr"
    api.denoise(stack, output, model=checkpoints["denoiser"], **SETTINGS | {"neighbours": "none"})
    report = api.run_report(output)
    assert report.content["sessions"][0]["neighbours"] is None and "neighbouring planes" not in report.page


def test_the_list_of_planes_is_limited() -> None:
    counts = FusionCounts()
    for k in range(5000):
        counts.add_left_out(f"T {k} and {k + 1}: constant")
    assert len(counts.left_out) == 1000
