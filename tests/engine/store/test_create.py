from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_restore import api


def test_channels_are_displayed_by_the_value_range(
    checkpoints: dict[str, Path], stack: np.ndarray, tmp_path: Path
) -> None:
    ranges = ((0, 100), (10, 200), (20, 300))
    api.denoise(stack, tmp_path / "o.zarr", axes="CYX", model=checkpoints["denoiser"], value_range=ranges)
    assert [channel.window for channel in api.open_image(tmp_path / "o.zarr").channels] == list(ranges)


def test_colour_samples_are_stored_as_channels(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    for model in ("denoiser", "colour_denoiser"):
        api.denoise(image, tmp_path / model, axes="YXS", model=checkpoints[model])
        stored = api.open_image(tmp_path / model)
        assert stored.axes == "CYX" and stored.shape == (3, 40, 50)
        assert [(channel.name, channel.color, channel.window) for channel in stored.channels] == [
            ("red", "FF0000", (0, 255)), ("green", "00FF00", (0, 255)), ("blue", "0000FF", (0, 255)),
        ]  # fmt: skip
        expected = api.denoise(image, axes="YXS", model=checkpoints[model])
        np.testing.assert_array_equal(stored.data[:, :, :], np.moveaxis(expected, -1, 0))


def test_ome_zarr_04_on_request(checkpoints: dict[str, Path], stack: np.ndarray, tmp_path: Path) -> None:
    settings = {"axes": "ZYX", "model": checkpoints["denoiser"]}
    api.denoise(stack, tmp_path / "o.zarr", ome_version="0.4", **settings)  # type: ignore[arg-type]
    assert (tmp_path / "o.zarr" / ".zattrs").exists()
    expected = api.denoise(stack, **settings)  # type: ignore[arg-type]
    np.testing.assert_array_equal(api.open_image(tmp_path / "o.zarr").read((slice(None),) * 3), expected)
