from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image
from safetensors.torch import save_file
from seeded_weights import fill

from napari_restore.models.architecture import build
from napari_restore.models.zoo import find_card
from napari_restore.widgets.jobs.job import Choices, Job
from napari_restore.widgets.jobs.layers.image_layers import whole
from napari_restore.widgets.jobs.layers.stored_view import StoredView
from napari_restore.widgets.jobs.results import result_layers
from napari_restore.widgets.jobs.run import Started, restore


def corners_of_pixels(layer: Image) -> np.ndarray:
    """World positions of the outer corners of the first and last pixel, and of one corner off the diagonal."""
    last = np.array(layer.data.shape[: layer.ndim]) - 0.5
    first = np.full(layer.ndim, -0.5)
    other = np.where(np.arange(layer.ndim) == layer.ndim - 1, last, first)
    return np.array([layer.data_to_world(point) for point in (first, last, other)])


def restored(source: Image, axes: str, scale: int, region: tuple[slice, ...], monkeypatch: pytest.MonkeyPatch) -> Image:
    """The result layer of a model of some scale, with the zeros that a run begins with."""
    card = find_card("swinir-x2-light").model_copy(update={"scale": scale})
    monkeypatch.setattr("napari_restore.models.zoo.find_card", lambda model, **_: card)
    plan = Job.of(source, axes, region, Choices.of("any", value_range=(0.0, 1.0))).plan()
    data, arguments, _ = result_layers(source, plan, region, (np.zeros(plan.shape, plan.dtype),))[0]
    return Image(data, **arguments)


GEOMETRIES = {
    "plain": {},
    "anisotropic": {"scale": (3.0, 0.5, 0.25)},
    "translated": {"scale": (1.0, 0.2, 0.3), "translate": (10.0, -20.0, 30.0)},
    "rotated": {"scale": (2.0, 1.0, 1.5), "rotate": (10.0, 20.0, 30.0), "translate": (1.0, 2.0, 3.0)},
    "sheared": {"shear": (0.1, 0.2, 0.3), "scale": (2.0, 1.0, 1.5)},
    "affine": {"affine": np.array([[1, 0.1, 0, 5], [0, 2, 0.3, 6], [0.2, 0, 1, 7], [0, 0, 0, 1]]), "rotate": (5, 6, 7)},
}


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")  # what napari says of such sources themselves
@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("scale", [1, 2, 3, 4])
@pytest.mark.parametrize("part", [None, (slice(1, 3), slice(5, 29), slice(8, 40))], ids=["whole", "region"])
def test_a_result_covers_its_source(
    geometry: str, scale: int, part: tuple[slice, ...] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Image(np.zeros((4, 40, 48), np.float32), **GEOMETRIES[geometry])  # type: ignore[arg-type]
    region = part or whole(source)
    result = restored(source, "ZYX", scale, region, monkeypatch)
    sizes = [s.stop - s.start for s in region]
    assert result.data.shape == (sizes[0], sizes[1] * scale, sizes[2] * scale)
    cropped = Image(source.data[region], **GEOMETRIES[geometry])  # type: ignore[arg-type]
    shift = np.array([s.start for s in region])
    last = np.array(cropped.data.shape) - 0.5 + shift
    first = np.full(3, -0.5) + shift
    other = np.array([first[0], first[1], last[2]])
    expected = np.array([source.data_to_world(point) for point in (first, last, other)])
    np.testing.assert_allclose(corners_of_pixels(result), expected, atol=1e-6)


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_what_a_run_makes_covers_its_source(scale: int, tmp_path: Path) -> None:
    hyperparameters = {
        "in_channels": 1, "embed_dim": 12, "depths": (2,), "heads": (2,), "window": 8,
        **({"scale": scale, "head": "pixelshuffledirect"} if scale > 1 else {"head": "none"}),
    }  # fmt: skip
    network = build("swinir", hyperparameters)  # type: ignore[arg-type]
    fill(network, seed=scale)
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    source = Image(
        np.random.default_rng(0).random((2, 30, 40)).astype(np.float32), name="turned", scale=(3.0, 0.5, 0.25),
        translate=(10.0, -20.0, 30.0), rotate=(0.0, 0.0, 25.0),
    )  # fmt: skip
    region = (slice(1, 2), slice(4, 28), slice(9, 40))
    choices = Choices.of(str(tmp_path / "model.safetensors"), value_range=(0.0, 1.0))
    events = restore(Job.of(source, "ZYX", region, choices))
    started = next(event for event in events if isinstance(event, Started))
    for _ in events:
        pass
    data, arguments, _ = result_layers(source, started.plan, region, started.levels)[0]
    result = Image(data, **arguments)
    assert result.data.shape == (1, 24 * scale, 31 * scale) and np.asarray(result.data).any()
    corners = np.array([(0.5, 3.5, 8.5), (1.5, 27.5, 39.5), (0.5, 3.5, 39.5)])
    expected = np.array([source.data_to_world(corner) for corner in corners])
    np.testing.assert_allclose(corners_of_pixels(result), expected, atol=1e-6)


@pytest.mark.parametrize("axes", ["CZYX", "ZCYX", "TCZYX", "ZYXC"])
@pytest.mark.parametrize("lazy", [False, True])
def test_channels_lie_on_their_source_wherever_the_axis_stands(
    axes: str, lazy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = {"T": 3, "C": 4, "Z": 5, "Y": 16, "X": 24}
    scales = {"T": 1.0, "C": 1.0, "Z": 3.0, "Y": 0.5, "X": 0.25}
    shape = tuple(sizes[letter] for letter in axes)
    where = dict(zip(axes, np.indices(shape), strict=True))
    source = Image(where["Z"] * 10 + where["C"], scale=[scales[letter] for letter in axes], rgb=False)
    card = find_card("swinir-x2-light")
    monkeypatch.setattr("napari_restore.models.zoo.find_card", lambda model, **_: card)
    plan = Job.of(source, axes, whole(source), Choices.of("any", value_range=(0, 255))).plan()
    pixels = np.empty(plan.shape, np.uint16)
    placed = dict(zip(plan.axes, np.indices(plan.shape), strict=True))
    pixels[...] = placed["Z"] * 10 + placed["C"]
    level = StoredView(pixels) if lazy else pixels
    viewer = ViewerModel()
    viewer.add_layer(source)
    for data, arguments, _ in result_layers(source, plan, whole(source), (level,)):
        viewer.add_layer(Image(data, **arguments))
    _, *results = viewer.layers
    c, z = axes.index("C"), axes.index("Z")
    assert viewer.dims.range[z] == (0.0, 12.0, 3.0) and viewer.dims.range[c][:2] == (0.0, 3.0)
    for slider in range(4) if c < source.ndim - 2 else ():
        for depth in (0, 2, 4):
            viewer.dims.set_point((c, z), (float(slider), 3.0 * depth))
            point = [2.0 if letter in "YX" else viewer.dims.point[i] for i, letter in enumerate(axes)]
            values = [layer.get_value(point, world=True) for layer in results]
            assert values == [10 * depth + channel for channel in range(4)]
    for layer in results:
        np.testing.assert_allclose(corners_of_pixels(layer)[:2], corners_of_pixels(source)[:2, -layer.ndim :])


def test_axes_in_another_order(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Image(np.zeros((40, 48, 4), np.uint16), scale=(0.1, 0.2, 2.0), rgb=False)
    result = restored(source, "YXZ", 2, whole(source), monkeypatch)
    assert result.data.shape == (80, 96, 4) and result.data.dtype == np.uint16
    np.testing.assert_allclose(result.scale, (0.05, 0.1, 2.0))
    np.testing.assert_allclose(result.translate, (-0.025, -0.05, 0.0))


def test_looks_units_and_names_are_those_of_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Image(
        np.zeros((40, 48), np.float32), name="cells", colormap="green", contrast_limits=(0.1, 0.7), gamma=0.8,
        units=("um", "um"), axis_labels=("y", "x"),
    )  # fmt: skip
    result = restored(source, "YX", 1, whole(source), monkeypatch)
    assert result.name == "cells ▸ SwinIR ×2 light" and result.colormap.name == "green"
    assert tuple(result.contrast_limits) == (0.1, 0.7) and result.gamma == 0.8
    assert result.units == source.units and result.axis_labels == ("y", "x")
    assert result.metadata["napari_restore"]["recipe"]["model"] == "any"


@pytest.mark.parametrize(("shape", "rgb", "kinds"), [((40, 48, 3), True, [(80, 96, 3)]), ((2, 40, 48), False, None)])
def test_rgb_only_where_the_input_was(
    shape: tuple[int, ...], rgb: bool, kinds: list[tuple[int, ...]] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Image(np.zeros(shape, np.uint8), rgb=rgb)
    axes = "YXS" if rgb else "CYX"
    card = find_card("swinir-x2-light")
    monkeypatch.setattr("napari_restore.models.zoo.find_card", lambda model, **_: card)
    plan = Job.of(source, axes, whole(source), Choices.of("any", value_range=(0, 255))).plan()
    layers = [
        Image(d, **a) for d, a, _ in result_layers(source, plan, whole(source), (np.zeros(plan.shape, np.uint8),))
    ]
    assert [layer.rgb for layer in layers] == ([True] if rgb else [False, False])
    assert [layer.data.shape for layer in layers] == (kinds or [(80, 96), (80, 96)])
