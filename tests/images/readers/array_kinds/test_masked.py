"""Masked arrays: what lies below the mask has no say, and the mask comes back."""

import dask.array as da
import numpy as np
import pytest

from napari_restore import api
from napari_restore.images.opening import open_image

RNG = np.random.default_rng(0)
CLEAN = 200 + 100 * np.sin(np.arange(96) / 9) * np.ones((2, 96, 1))
PIXELS = RNG.poisson(CLEAN).astype(np.uint16)
MASKS = {
    "an area": np.broadcast_to(np.arange(96) < 30, PIXELS.shape),
    "scattered": np.random.default_rng(1).random(PIXELS.shape) < 0.1,
    "one plane": np.broadcast_to(np.array([True, False])[:, None, None], PIXELS.shape),
}
SETTINGS = {"axes": "ZYX", "device": "cpu", "neighbours": "none"}


def masked(mask, dtype, below):
    data = np.where(mask, np.array(below).astype(dtype), PIXELS.astype(dtype))
    return np.ma.masked_array(data, mask=mask)


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize(("dtype", "others"), [("u2", (0, 65535)), ("f4", (-9999.0, 3e38)), ("i4", (-1, 2**31 - 1))])
def test_what_lies_below_the_mask_changes_nothing(name, dtype, others):
    mask = MASKS[name]
    one, other = (api.denoise(masked(mask, dtype, below), **SETTINGS) for below in others)
    for result, below in zip((one, other), others, strict=True):
        assert isinstance(result, np.ma.MaskedArray) and result.dtype == dtype
        np.testing.assert_array_equal(np.ma.getmaskarray(result), mask)
        np.testing.assert_array_equal(result.data[mask], np.array(below).astype(dtype))
    np.testing.assert_array_equal(one.data[~mask], other.data[~mask])
    error, noise = ((image.astype(float) - CLEAN)[~mask].std() for image in (one.data, PIXELS))
    assert error < 0.7 * noise


def test_lazily_and_enlarged():
    mask = MASKS["an area"]
    source = masked(mask, "u2", 65535)
    lazy = api.denoise(da.from_array(source, chunks=(1, 48, 96)), **SETTINGS)
    assert isinstance(lazy, da.Array) and lazy.dtype == np.uint16
    result = lazy.compute()
    np.testing.assert_array_equal(np.ma.getmaskarray(result), mask)
    np.testing.assert_array_equal(result.data[~mask], api.denoise(source, **SETTINGS).data[~mask])
    for large in (
        api.super_resolve(source, **SETTINGS),
        api.super_resolve(da.from_array(source), **SETTINGS).compute(),
    ):
        assert large.shape == (2, 192, 192)
        np.testing.assert_array_equal(np.ma.getmaskarray(large), mask.repeat(2, 1).repeat(2, 2))


def test_a_stored_result_has_nan_where_the_source_is_masked_and_says_so(tmp_path):
    mask = MASKS["scattered"]
    source = masked(mask, "u2", 65535)
    plan = api.plan(source, **SETTINGS)
    assert "masked" in str(plan) and "NaN in a stored result, whose data type is float32" in str(plan)
    api.denoise(source, output=tmp_path / "out.zarr", **SETTINGS)
    image = open_image(tmp_path / "out.zarr")
    np.testing.assert_array_equal(np.isnan(image.read((slice(None),) * 3)), mask)
    assert "masked" in str(api.run_report(tmp_path / "out.zarr").content["source"])


def test_nothing_masked():
    result = api.denoise(np.ma.masked_array(PIXELS), **SETTINGS)
    assert isinstance(result, np.ma.MaskedArray) and not np.ma.is_masked(result)
    np.testing.assert_array_equal(result.data, api.denoise(PIXELS, **SETTINGS))
    assert api.denoise(masked(MASKS["an area"], "u2", 9), dtype="float32", **SETTINGS).dtype == np.float32
