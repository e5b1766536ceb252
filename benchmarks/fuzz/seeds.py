"""Write small valid files of every kind: the seeds that are mutated."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import h5py
import numcodecs
import numpy as np
import safetensors.torch
import tifffile
import torch
import zarr

from benchmarks.faults.trials import NETWORK
from napari_restore import api
from napari_restore.models.architecture import build

__all__ = ["MARK", "make_seeds"]

MARK = 54321
"""Value of all pixels of files outside the folder of a trial. It must not appear in pixels that a trial reads."""

PIXELS = np.random.default_rng(0).poisson(100, (3, 48, 64)).astype(np.uint16)


def make_seeds(folder: Path, outside: Path) -> None:
    """Write a folder of seeds for each kind, and the files outside that must not be read.

    Parameters
    ----------
    folder : Path
        Empty folder for the seeds.
    outside : Path
        Empty folder for the files outside, which some seeds name.
    """
    tifffile.imwrite(outside / "secret.tif", np.full((48, 64), MARK, np.uint16), photometric="minisblack")
    with h5py.File(outside / "secret.h5", "w") as file:
        file["d"] = np.full((48, 64), MARK, np.uint16)
    (outside / "secret.bin").write_bytes(np.full((48, 64), MARK, np.uint16).tobytes())
    for kind, make in {
        "tiff": _tiff, "zarr": _zarr, "hdf5": _hdf5, "safetensors": _safetensors, "pickle": _pickle, "result": _result
    }.items():  # fmt: skip
        (folder / kind).mkdir()
        make(folder / kind, outside)


def _tiff(folder: Path, outside: Path) -> None:
    settings: dict[str, dict[str, Any]] = {
        "strips": {"rowsperstrip": 16},
        "tiles": {"tile": (16, 16), "compression": "deflate"},
        "lzw": {"compression": "lzw", "predictor": True},
        "big": {"bigtiff": True, "compression": "zstd", "tile": (32, 32)},
        "jpeg2000": {"compression": "jpeg2000", "tile": (32, 32)},
        "packbits": {"compression": "packbits"},
    }
    for name, given in settings.items():
        tifffile.imwrite(folder / f"{name}.tif", PIXELS, photometric="minisblack", metadata={"axes": "ZYX"}, **given)
    tifffile.imwrite(folder / "imagej.tif", PIXELS, imagej=True, metadata={"axes": "ZYX", "unit": "um", "spacing": 0.5})
    ome = {"axes": "CYX", "PhysicalSizeX": 0.1, "Channel": {"Name": ["a", "b", "c"]}}
    tifffile.imwrite(folder / "cells.ome.tif", PIXELS, photometric="minisblack", metadata=ome, compression="deflate")
    tifffile.imwrite(folder / "rgb.tif", np.ones((48, 64, 3), np.uint8), photometric="rgb", compression="jpeg")
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:0"><Image ID="Image:0"><Pixels '
        'ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="64" SizeY="48" SizeZ="2" SizeC="1" SizeT="1">'
        '<Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData IFD="0" FirstZ="0" PlaneCount="1"/>'
        f'<TiffData IFD="0" FirstZ="1" PlaneCount="1"><UUID FileName="{outside}/secret.tif">urn:uuid:1</UUID>'
        "</TiffData></Pixels></Image></OME>"
    )
    tifffile.imwrite(folder / "names.ome.tif", PIXELS[0], description=xml, metadata=None, photometric="minisblack")


def _zarr(folder: Path, outside: Path) -> None:
    names = ("z", "y", "x")
    codecs: dict[str, dict[str, Any]] = {
        "zstd": {"compressors": zarr.codecs.ZstdCodec(checksum=True)},
        "gzip": {"compressors": zarr.codecs.GzipCodec()},
        "shards": {"shards": (3, 48, 64)},
        "raw": {"compressors": None},
    }
    for name, given in codecs.items():
        array = zarr.create_array(
            folder / f"{name}.zarr", shape=PIXELS.shape, dtype="u2", chunks=(1, 24, 32), dimension_names=names, **given
        )
        array[:] = PIXELS
    for name, compressor in {"blosc": numcodecs.Blosc(), "zlib": numcodecs.Zlib(), "lz4": numcodecs.LZ4()}.items():
        array = zarr.create_array(
            folder / f"{name}.zarr", shape=(48, 64), dtype="u2", chunks=(24, 32), zarr_format=2, compressors=compressor
        )
        array[:] = PIXELS[0]
    api.restore(PIXELS, model=_weights(folder), output=folder / "ome.zarr", axes="ZYX", device="cpu", tile=48, halo=8)
    _weights(folder).unlink()
    linked = zarr.create_array(folder / "linked.zarr", shape=(48, 64), dtype="u2", chunks=(48, 64), compressors=None)
    linked[:] = PIXELS[0]
    (folder / "linked.zarr/c/0/0").unlink()
    (folder / "linked.zarr/c/0/0").symlink_to(outside / "secret.bin")


def _hdf5(folder: Path, outside: Path) -> None:
    for name, given in {
        "gzip": {"compression": "gzip"},
        "lzf": {"compression": "lzf"},
        "checked": {"fletcher32": True},
    }.items():
        with h5py.File(folder / f"{name}.h5", "w") as file:
            found = file.create_dataset("exp/raw", data=PIXELS, chunks=(1, 24, 32), **given)
            for axis, label in enumerate("zyx"):
                found.dims[axis].label = label
            found.attrs["element_size_um"] = [0.5, 0.1, 0.1]
    with h5py.File(folder / "stored.h5", "w") as file:
        file.create_dataset("d", (48, 64), "u2", external=[(str(outside / "secret.bin"), 0, 6144)])
    with h5py.File(folder / "linked.h5", "w") as file:
        file["d"] = h5py.ExternalLink(str(outside / "secret.h5"), "/d")
    with h5py.File(folder / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout((48, 64), "u2")
        layout[:] = h5py.VirtualSource(str(outside / "secret.h5"), "d", (48, 64))
        file.create_virtual_dataset("d", layout)


def _state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return dict(build("swinir", NETWORK).state_dict())


def _weights(folder: Path) -> Path:
    path = folder / "model.safetensors"
    safetensors.torch.save_file(_state(), path, metadata={"name": '"fuzz"'})
    return path


def _safetensors(folder: Path, outside: Path) -> None:
    _weights(folder)


class _Harm:
    """An object whose pickle writes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return open, (str(self.path), "w")


def _pickle(folder: Path, outside: Path) -> None:
    torch.save(_state(), folder / "zip.pth")
    torch.save({"params": _state(), "epoch": 3}, folder / "wrapped.ckpt")
    torch.save(_state(), folder / "legacy.pt", _use_new_zipfile_serialization=False)
    (folder / "harm.pth").write_bytes(pickle.dumps({"params": _Harm(outside / "written")}, 2))
    torch.save({"params": _Harm(outside / "written")}, folder / "harm.pt")


def _result(folder: Path, outside: Path) -> None:
    tifffile.imwrite(folder / "source.tif", PIXELS, photometric="minisblack", metadata={"axes": "ZYX"})
    model = _weights(folder)
    api.restore(folder / "source.tif", model=model, output=folder / "out.zarr", device="cpu", tile=48, halo=8)
    (folder / "recipe.json").write_text(json.dumps(api.run_report(folder / "out.zarr").content["recipe"]))
