"""Tensors as sources: they come back as tensors of their type."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from napari_restore import api
from napari_restore.errors import SourceError
from napari_restore.images.opening import open_image

PIXELS = np.random.default_rng(0).poisson(200, (2, 64, 64)).astype(np.float32)
SETTINGS = {"axes": "ZYX", "device": "cpu"}


@pytest.mark.parametrize(
    "make",
    [
        torch.tensor,
        lambda x: torch.tensor(x, requires_grad=True),
        lambda x: torch.tensor(x).double(),
        lambda x: torch.tensor(x).to(torch.int16),
        lambda x: torch.tensor(x).transpose(1, 2).contiguous().transpose(1, 2),
        lambda x: torch.nn.Parameter(torch.tensor(x)),
    ],
)
def test_the_result_is_a_tensor_of_the_same_values(make):
    source = make(PIXELS)
    result = api.denoise(source, **SETTINGS)
    assert isinstance(result, torch.Tensor) and result.dtype == source.dtype and not result.requires_grad
    np.testing.assert_array_equal(result.numpy(), api.denoise(source.detach().numpy(), **SETTINGS))


def test_bfloat16():
    source = torch.tensor(PIXELS).bfloat16()
    assert open_image(source, axes="ZYX").dtype == np.float32
    result = api.denoise(source, **SETTINGS)
    assert result.dtype == torch.bfloat16
    assert torch.equal(result, torch.tensor(api.denoise(source.float().numpy(), **SETTINGS)).bfloat16())
    assert api.denoise(source, dtype="float32", **SETTINGS).dtype == torch.float32


def test_stored_and_planned(tmp_path):
    source = torch.tensor(PIXELS)
    api.denoise(source, output=tmp_path / "out.zarr", **SETTINGS)
    assert open_image(tmp_path / "out.zarr").shape == (2, 64, 64)
    assert "Z 2" in str(api.plan(source, **SETTINGS))


@pytest.mark.parametrize(
    "make", [torch.Tensor.to_sparse, lambda x: x.to("meta"), lambda x: x > 100, lambda x: x.to(torch.complex64)]
)
def test_tensors_without_values_that_can_be_restored(make):
    with pytest.raises(SourceError):
        api.denoise(make(torch.tensor(PIXELS)), **SETTINGS)


def test_the_api_does_not_import_torch():
    code = "import sys, napari_restore.api; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
