"""Neighbouring planes through the engine: whatever way a result is made, it is the same to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from scipy import ndimage
from stored_files import files

from napari_restore import api
from napari_restore.errors import ChunkError, OutputError, RecipeError, SourceError
from napari_restore.intensity.fusion import VERSION

AXES = ("T", "Z", "TZ")
SETTINGS: dict[str, Any] = {"tile": 64, "halo": 8, "blend": 8, "dtype": "float32", "workers": 1}


def exposed(photons: NDArray[np.floating], seed: int = 0) -> NDArray[np.uint16]:
    rng = np.random.default_rng(seed)
    return np.rint(100 + 2 * rng.poisson(photons) + rng.normal(0, 3, photons.shape)).clip(0, 65535).astype(np.uint16)


def structure(shape: tuple[int, int] = (70, 90), seed: int = 0) -> NDArray[np.float64]:
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 5)
    return 5 + 40 * np.clip(field / field.std(), 0, None)


@pytest.fixture(scope="module")
def truth() -> NDArray[np.float64]:
    """TZYX in photons: it drifts in time, and changes a little with depth."""
    one, two = structure(seed=0), structure(seed=1)
    return np.stack([[np.roll(one + 0.1 * z * two, t, axis=1) for z in range(2)] for t in range(3)])


@pytest.fixture(scope="module")
def source(truth: NDArray[np.float64]) -> NDArray[np.uint16]:
    return exposed(truth)


@pytest.fixture(scope="module", params=AXES)
def case(request: pytest.FixtureRequest, checkpoints: dict[str, Path], source: NDArray[np.uint16]) -> Any:
    """Settings with neighbours along an axis, and what comes of the array in memory."""
    settings = SETTINGS | {"axes": "TZYX", "model": checkpoints["denoiser"], "neighbours": request.param}
    return settings, api.restore(source, **settings)


def stored(source: Any, path: Path, **settings: Any) -> NDArray[Any]:
    return np.asarray(zarr.open_array(api.restore(source, output=path, **settings) / "0", mode="r")[...])


# ------------------------------------------------------------------------------------- the same result


@pytest.mark.parametrize(("chunks", "workers"), [((1, 1, 48, 48), 2), ((2, 2, 37, 90), 1), ((3, 1, 70, 50), 3)])
def test_chunks_and_workers(
    case: Any, source: NDArray[np.uint16], tmp_path: Path, chunks: tuple[int, ...], workers: int
) -> None:
    settings, expected = case
    given = settings | {"chunks": chunks, "shards": chunks, "workers": workers}
    np.testing.assert_array_equal(stored(source, tmp_path / "a.zarr", **given), expected)


def test_lazy(case: Any, source: NDArray[np.uint16]) -> None:
    settings, expected = case
    lazy = api.restore(da.from_array(source, chunks=(1, 2, 40, 90)), **settings)
    with dask.config.set(scheduler="threads", num_workers=2):
        np.testing.assert_array_equal(lazy[1:3, 1, 20:60, 30:].compute(), expected[1:3, 1, 20:60, 30:])


def test_a_part_is_what_a_run_stores(case: Any, source: NDArray[np.uint16]) -> None:
    settings, expected = case
    plan = api.plan(source, **settings)
    region = (slice(2, 3), slice(0, 2), slice(30, 70), slice(3, 77))
    np.testing.assert_array_equal(api.part(plan, region), expected[region])


@pytest.mark.parametrize("axes", ["XYZT"])
def test_transposed(case: Any, source: NDArray[np.uint16], axes: str) -> None:
    settings, expected = case
    order = ["TZYX".index(letter) for letter in axes]
    turned = api.restore(source.transpose(order), **settings | {"axes": axes})
    np.testing.assert_array_equal(turned, expected.transpose(order))


def test_interrupted_and_verified(case: Any, source: NDArray[np.uint16], tmp_path: Path) -> None:
    settings = case[0] | {"chunks": (1, 1, 64, 64), "shards": (1, 1, 64, 64)}
    zarr.create_array(tmp_path / "source.zarr", data=source, chunks=(1, 1, 64, 64))
    whole, begun = tmp_path / "whole.zarr", tmp_path / "begun.zarr"
    api.restore(tmp_path / "source.zarr", output=whole, **settings)
    events = api.iter_restore(tmp_path / "source.zarr", output=begun, **settings)
    next(event for event in events if event.done >= 5)
    events.close()
    # The same neighbours, asked for or left out.
    left_out = {name: value for name, value in settings.items() if name != "neighbours"}
    api.restore(tmp_path / "source.zarr", output=begun, **left_out)
    assert files(begun) == files(whole)
    assert api.verify(begun, recompute=3).ok


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=":0") as here,
        Client(here) as client,
    ):
        yield client


def test_cluster(case: Any, source: NDArray[np.uint16], tmp_path: Path, cluster: Any) -> None:
    settings = case[0] | {"chunks": (1, 1, 64, 90), "shards": (1, 1, 64, 90)}
    zarr.create_array(tmp_path / "source.zarr", data=source, chunks=(1, 1, 64, 64))
    result = stored(tmp_path / "source.zarr", tmp_path / "a.zarr", **settings, scheduler=cluster)
    np.testing.assert_array_equal(result, case[1])


def test_channels_and_samples(checkpoints: dict[str, Path], truth: NDArray[np.float64]) -> None:
    settings = SETTINGS | {"neighbours": "T", "dtype": "float32"}
    both = np.stack([exposed(truth[:, 0], 1), exposed(truth[:, 1], 2)], axis=1)
    result = api.denoise(both, axes="TCYX", model=checkpoints["denoiser"], **settings)
    for channel in range(2):
        alone = api.denoise(both[:, channel], axes="TYX", model=checkpoints["denoiser"], **settings)
        np.testing.assert_array_equal(result[:, channel], alone)
    colour = np.stack([exposed(truth[:, z % 2], z) for z in range(3)], axis=-1)
    for model in ("denoiser", "colour_denoiser"):
        result = api.denoise(colour, axes="TYXS", model=checkpoints[model], **settings)
        single = api.denoise(colour, axes="TYXS", model=checkpoints[model], **settings | {"neighbours": "none"})
        assert result.shape == colour.shape and not np.array_equal(result, single)


def test_upscaling(checkpoints: dict[str, Path], source: NDArray[np.uint16]) -> None:
    settings = SETTINGS | {"model": checkpoints["upscaler"], "axes": "TYX", "neighbours": "T"}
    whole = api.restore(source[:, 0], **settings)
    plan = api.plan(source[:, 0], **settings)
    region = (slice(1, 3), slice(33, 130), slice(7, 101))
    np.testing.assert_array_equal(api.part(plan, region), whole[region])


# -------------------------------------------------------------------------------------- what is chosen


def test_by_default_neighbours_count_where_they_agree(checkpoints: dict[str, Path], source: NDArray[np.uint16]) -> None:
    model = "restormer-denoise-light"
    plan = api.plan(source, axes="TZYX", model=model)
    assert plan.recipe.neighbours is not None and plan.recipe.neighbours.axis == "TZ"
    assert "neighbours T and Z, 3 planes and 2 planes on each side (" in str(
        plan
    ) and "planes agree; noise falls to 0." in str(plan)
    others = np.stack([exposed(structure(seed=k), k) for k in range(4)])
    plan = api.plan(others, axes="ZYX", model=model)
    assert plan.recipe.neighbours is not None and plan.recipe.neighbours.axis == "none"
    assert "neighbours none (as none of them agrees" in str(plan)
    assert "neighbours" not in str(api.plan(source[0, 0], axes="YX", model=model))
    plan = api.plan(source, axes="TZYX", model=checkpoints["upscaler"])
    assert "neighbours none (as the model is for super-resolve; name an axis to use them)" in str(plan)


def test_values_that_a_run_takes_for_missing_do_not_count() -> None:
    stack = exposed(np.broadcast_to(structure(), (6, 70, 90))).astype(np.float32)
    settings = SETTINGS | {"axes": "ZYX", "value_range": (100, 300)}
    usual = api.plan(stack, **settings).recipe.neighbours
    assert usual is not None and usual.axis == "Z"
    for z, plane in enumerate(stack):  # above 3000 value ranges, which valid_range does not exclude
        plane[10 * z + 5, 10 * z + 5] = 1e9
    found = api.plan(stack, valid_range=(-1e30, 1e30), **settings).recipe.neighbours
    assert found is not None and found.axis == "Z" and found.left == pytest.approx(usual.left, abs=0.05)


def test_a_recipe_without_neighbours_is_what_it_was(checkpoints: dict[str, Path], source: NDArray[np.uint16]) -> None:
    none = api.plan(source, axes="TZYX", model=checkpoints["denoiser"], neighbours="none")
    single = api.plan(source[0, 0], axes="YX", model=checkpoints["denoiser"])
    for plan in (none, single):
        assert "neighbours" not in plan.recipe.as_json() and "neighbours" not in plan.identity()["recipe"]
    some = api.plan(source, axes="TZYX", model=checkpoints["denoiser"], neighbours="Z,1")
    assert some.identity()["recipe"]["neighbours"]["planes"] == 1 and some.fingerprint != none.fingerprint
    assert some.identity()["fusion_version"] == VERSION and "fusion_version" not in none.identity()


def test_a_result_of_single_planes_goes_on_as_such(
    checkpoints: dict[str, Path], source: NDArray[np.uint16], tmp_path: Path
) -> None:
    settings = SETTINGS | {"model": checkpoints["denoiser"], "axes": "TZYX"}
    api.denoise(source, tmp_path / "a.zarr", **settings, neighbours="none")
    plan = api.plan(source, output=tmp_path / "a.zarr", **settings)
    assert plan.recipe.neighbours is not None and plan.recipe.neighbours.axis == "none"
    with pytest.raises(OutputError, match=r"neighbours\.axis: none stored, T now"):
        api.plan(source, output=tmp_path / "a.zarr", **settings, neighbours="T")


def test_what_is_asked_for_and_cannot_be(checkpoints: dict[str, Path], source: NDArray[np.uint16]) -> None:
    model = checkpoints["denoiser"]
    with pytest.raises(RecipeError, match=r"neighbours along Z: .*no axis Z .*use T or none"):
        api.plan(source[:, 0], axes="TYX", model=model, neighbours="Z")
    with pytest.raises(RecipeError, match="neighbours 'C' is not auto, none"):
        api.plan(source, axes="TZYX", model=model, neighbours="C")
    with pytest.raises(RecipeError, match="neighbours"):
        api.plan(source, axes="TZYX", model=model, neighbours="T,0")
    with pytest.raises(SourceError, match=r"noise of .* cannot be estimated"):
        api.plan(np.zeros((3, 20, 20), np.uint8), axes="TYX", model=model, neighbours="T")
    plan = api.plan(np.zeros((3, 20, 20), np.uint8), axes="TYX")
    assert "neighbours none (as the noise cannot be estimated" in str(plan)


def test_memory_is_counted(checkpoints: dict[str, Path]) -> None:
    volume = da.random.default_rng(0).poisson(100, (40, 2048, 2048), chunks=(1, 512, 512)).astype(np.uint16)
    settings: dict[str, Any] = {"axes": "ZYX", "model": checkpoints["denoiser"], "value_range": (0, 1), "workers": 1}
    shards = {"shards": (1, 1024, 1024)}
    none, some = (api.plan(volume, **settings, **shards, neighbours=n).memory_bytes for n in ("none", "Z"))
    assert some > none + 4 * 2 * 1024**2


# ---------------------------------------------------------------------------------- ends, gaps and cuts


@pytest.mark.parametrize("length", [1, 2, 3])
def test_short_stacks(checkpoints: dict[str, Path], source: NDArray[np.uint16], length: int) -> None:
    settings = SETTINGS | {"model": checkpoints["denoiser"], "axes": "TYX"}
    short = source[:length, 0]
    result = api.denoise(short, **settings, neighbours="T")
    single = api.denoise(short, **settings, neighbours="none")
    assert np.isfinite(result).all()
    assert np.array_equal(result, single) == (length == 1)


def given_to_the_network(plan: Any, frame: int) -> NDArray[Any]:
    """A plane of TYX as the network gets it, in data units."""
    from napari_restore.engine.compute.neighbours import FusedPlanes

    where = {"T": slice(frame, frame + 1), "Y": slice(0, plan.shape[1]), "X": slice(0, plan.shape[2])}
    return FusedPlanes(plan, where).plane({"T": frame}, plan.validity[0].missing)[0]


@pytest.mark.parametrize("kind", ["black", "constant", "cut", "dark noise", "nan"])
def test_planes_that_do_not_belong_change_nothing(checkpoints: dict[str, Path], kind: str) -> None:
    still = structure()
    stack = np.stack([exposed(still, k) for k in range(5)]).astype(np.float32)
    stack[3] = {
        "black": np.zeros_like(stack[3]),
        "constant": np.full_like(stack[3], 110),
        "cut": exposed(structure(seed=9), 3),
        "dark noise": exposed(np.zeros_like(still), 3),
        "nan": np.full_like(stack[3], np.nan),
    }[kind]
    plan = api.plan(stack, axes="TYX", model=checkpoints["denoiser"], neighbours="T", value_range=(90, 300))
    without = replace(plan, image=api.open_image(np.delete(stack, 3, axis=0), axes="TYX"))
    here = given_to_the_network(plan, 1)
    # Of five planes one is out: what is left are the two before and the one after.
    fewer = np.asarray(given_to_the_network(without.with_settings(), 1))
    assert np.isfinite(here).all()
    error = [float(np.std(plane - (100 + 2 * still))) for plane in (here, stack[1])]
    assert error[0] < 0.7 * error[1] and here.shape == fewer.shape
    np.testing.assert_array_equal(given_to_the_network(plan, 3), stack[3])  # and it stays what it is


def test_bleaching_leaves_no_bias(checkpoints: dict[str, Path]) -> None:
    still = structure() * 2
    stack = np.stack([exposed(still * 0.8**k, k) for k in range(5)])
    plan = api.plan(stack, axes="TYX", model=checkpoints["denoiser"], neighbours="T")
    fused, expected = given_to_the_network(plan, 2), 100 + 2 * still * 0.8**2
    bright = still > 40
    assert abs(float((fused - expected)[bright].mean())) < 0.01 * float(expected[bright].mean() - 100)
    assert np.std(fused - expected) < 0.7 * np.std(stack[2] - expected)


def test_a_sub_range_has_fewer_neighbours_at_its_ends(checkpoints: dict[str, Path], source: NDArray[np.uint16]) -> None:
    settings = SETTINGS | {
        "model": checkpoints["denoiser"],
        "axes": "TYX",
        "neighbours": "T,1",
        "value_range": (90, 300),
    }
    plan = api.plan(source[:, 0], **settings)
    assert "the first and last planes have fewer neighbours" in str(plan)
    part = replace(plan, image=api.open_image(source[:2, 0], axes="TYX"), shape=(2, *plan.shape[1:]))
    np.testing.assert_array_equal(given_to_the_network(part, 0), given_to_the_network(plan, 0))
    assert not np.array_equal(given_to_the_network(part, 1), given_to_the_network(plan, 1))


def test_damage_in_a_neighbour(checkpoints: dict[str, Path], source: NDArray[np.uint16], tmp_path: Path) -> None:
    path = tmp_path / "source.zarr"
    zarr.create_array(path, data=source[:, 0], chunks=(1, 35, 45))
    settings = SETTINGS | {"model": checkpoints["denoiser"], "axes": "TYX", "neighbours": "T", "value_range": (90, 300)}
    plan = api.plan(path, **settings)  # before the damage, so that it is known what the noise is
    chosen = plan.recipe.neighbours
    assert chosen is not None
    (path / "c/2/0/1").write_bytes(b"no chunk")
    settings |= {"neighbours": chosen.model_dump(), "chunks": (1, 70, 90), "shards": (1, 70, 90)}
    with pytest.raises(ChunkError, match=r"c/2/0/1|region"):
        api.denoise(path, tmp_path / "raised.zarr", **settings)
    blocks = [stored(path, tmp_path / f"{n}.zarr", **settings | {"on_error": "fill", "shards": shards})
              for n, shards in enumerate([(1, 70, 90), (3, 70, 90)])]  # fmt: skip
    np.testing.assert_array_equal(*blocks)
    assert np.isfinite(blocks[0]).all()
    report = api.run_report(tmp_path / "0.zarr").content
    assert list(report["filled"]) == ["2/0/0"]
