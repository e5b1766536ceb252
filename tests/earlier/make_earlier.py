"""Writes outputs with the version of the package that is imported, for later versions to be tested on.

    PYTHONPATH=WORKTREE_OF_THAT_VERSION python tests/earlier/make_earlier.py FOLDER

FOLDER gets ``NAME.zarr`` of each case, and the digests of all files. Of a run that was killed it gets the lock as well,
and ``NAME.whole.zarr``, the result of the same run when nothing interrupted it. Sources are not kept: `make_source`
makes them of the raw bits of PCG64 and of integers, so they are the same on every machine and with every NumPy.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
import zarr

__all__ = ["CASES", "CHANNELS", "Case", "digests", "machine", "make_source"]

TINY = "tests/weights/restormer-sigma25-tiny.safetensors"
"""A checkpoint by path, from the root of the repository: it stays what it is when bundled weights are trained anew."""
CHANNELS = ["nuclei", "actin"]
STACK = (3, 64, 80)


@dataclass(frozen=True)
class Case:
    """An output: the source it is made of, the model, and the settings that are given.

    Parameters
    ----------
    source : str
        For `make_source`.
    model : str
        Name of a bundled model, or path of a checkpoint from the root of the repository.
    settings : dict
        Of `napari_restore.api.restore`.
    killed_after : int
        Objects of level 0 after which the run is killed; 0: never.
    """

    source: str
    model: str
    settings: dict[str, Any] = field(default_factory=dict)
    killed_after: int = 0


SHARDED = {"chunks": (1, 32, 40), "shards": (1, 64, 80)}
CASES = {
    "denoised": Case("stack.tif", "restormer-denoise-light", SHARDED),
    "ome_0_4": Case("stack.tif", TINY, {"ome_version": "0.4", "tile": 64, "halo": 8}),
    "doubled": Case("channels.ome.tif", "swinir-x2-light", {"tile": 48, "halo": 8}),
    "channels": Case("channels.ome.tif", "swinir-denoise-light", {"value_range": ((300, 900), (250, 1000))}),
    "rgb": Case("rgb.tif", "restormer-denoise-rgb-light"),
    "bfloat16": Case("channels.ome.tif", "swinir-denoise-light", {"precision": "bfloat16"}),
    "gaps": Case("gaps.tif", TINY, {"tile": 64, "halo": 8, "chunks": (40, 48)}),
    "photons": Case("stack.tif", TINY, {"intensity": "poisson-gaussian"}),
    "killed": Case("wide.tif", TINY, {"tile": 64, "halo": 8, "blend": 8}, killed_after=2),
    "killed_ome_0_4": Case(
        "wide.tif",
        "swinir-denoise-light",
        {"ome_version": "0.4", "tile": 64, "halo": 8, "chunks": (1, 32, 88)},
        killed_after=4,
    ),
    "filled": Case("stack.zarr", TINY, {"axes": "ZYX", "on_error": "fill", "tile": 64, "halo": 8, **SHARDED}),
}
"""Small, and each with something that the others do not have."""


def pixels(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Blobs and noise as uint16, of integers alone."""
    planes = math.prod(shape[:-2])
    y, x, z = (np.arange(n) for n in (*shape[-2:], planes))
    blobs = ((y[:, None] // 3) ** 2 + (x // 4) ** 2 + 5 * z[:, None, None]) % 97 * 4 + 300
    raw = np.random.PCG64(seed).random_raw(planes * shape[-2] * shape[-1])
    noise = np.asarray(raw, np.uint64).view(np.uint8).reshape(-1, 8).sum(1, dtype=np.int64) // 24
    return (blobs.reshape(-1) + noise).astype(np.uint16).reshape(shape)


def make_source(folder: Path, name: str, *, damaged: bool = False) -> Path:
    """Write a source into a folder: the same pixels whenever and wherever that is done.

    Parameters
    ----------
    folder : Path
        Where to.
    name : str
        As a case names it.
    damaged : bool
        Whether a chunk of the Zarr cannot be read.
    """
    path = folder / name
    if name == "rgb.tif":
        rgb = (pixels((3, 64, 80), 2) // 4).astype(np.uint8)
        tifffile.imwrite(path, rgb.transpose(1, 2, 0), photometric="rgb")
    elif name == "channels.ome.tif":
        metadata = {"axes": "CYX", "Channel": {"Name": CHANNELS}, "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
        tifffile.imwrite(path, pixels((2, 64, 80), 1), photometric="minisblack", metadata=metadata)
    elif name == "stack.zarr":
        array = zarr.create_array(path, shape=STACK, chunks=(1, *STACK[1:]), dtype=np.uint16)
        array[:] = pixels(STACK, 0)
        if damaged:
            (path / "c/1/0/0").write_bytes(b"not a chunk")
    elif name == "gaps.tif":
        plane = pixels((64, 80), 3).astype(np.float32) / 8
        plane[20:30, 40:60] = np.nan
        tifffile.imwrite(path, plane, photometric="minisblack", metadata={"axes": "YX"})
    else:
        shape = (3, 32, 264) if name == "wide.tif" else STACK
        tifffile.imwrite(path, pixels(shape, 0), photometric="minisblack", metadata={"axes": "ZYX"})
    return path


def digests(path: Path) -> dict[str, str]:
    """SHA-256 of all files of an output, by name."""
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return {file.relative_to(path).as_posix(): sha256(file.read_bytes()).hexdigest() for file in files}


def machine() -> dict[str, str]:
    """What the last bits of a result, and how it is compressed, depend on."""
    import numcodecs
    import torch

    capabilities = getattr(torch.cpu, "get_capabilities", dict)()  # torch 2.6 has none
    cores = Path("/proc/cpuinfo")
    names = [line for line in cores.read_text().splitlines() if line.startswith("model name")] if cores.exists() else []
    return {
        "processor": names[0].partition(":")[2].strip() if names else "",
        "instructions": " ".join(sorted(name for name, there in capabilities.items() if there is True)),
        "torch": torch.__version__.partition("+")[0],
        "numcodecs": numcodecs.__version__,
        "zarr": zarr.__version__,
    }


def restore(name: str) -> None:
    """Make one output in the working folder."""
    import torch

    from napari_restore import api

    torch.set_num_threads(1)
    case = CASES[name]
    # Names from the working folder: nothing that is stored tells where that was.
    api.restore(case.source, model=case.model, output=f"{name}.zarr", workers=1, device="cpu", **case.settings)


def kill(name: str) -> None:
    """Make one output in a process of its own, and kill that before it has ended."""
    command, output = [sys.executable, __file__, "--only", name], Path(f"{name}.zarr")
    child = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    while len(objects(output)) < CASES[name].killed_after:
        assert child.poll() is None, "it ended before it could be killed"
        time.sleep(0.0005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert len(objects(output)) < len(objects(Path(f"{name}.whole.zarr")))
    # Who held the lock is nobody's business; a lock of another machine is left alone until its lease has ended.
    (mark,) = Path(f".{name}.zarr.lock").glob("*/owner.json")
    mark.write_text(json.dumps(json.loads(mark.read_text()) | {"host": "elsewhere", "user": "nobody", "machine": "x"}))


def objects(output: Path) -> list[Path]:
    """Files of the objects of level 0."""
    return [file for file in output.glob("0/**/*") if file.is_file() and file.name.isdecimal()]


def main() -> None:
    if sys.argv[1] == "--only":
        restore(sys.argv[2])
        return
    folder, root = Path(sys.argv[1]).absolute(), Path(__file__).parents[2]
    folder.mkdir()
    os.chdir(folder)
    Path("tests").symlink_to(root / "tests")
    for source in dict.fromkeys(case.source for case in CASES.values()):
        make_source(Path(), source, damaged=True)
    noted: dict[str, Any] = {"machine": machine(), "outputs": {}}
    for name, case in CASES.items():
        restore(name)
        if case.killed_after:
            Path(f"{name}.zarr").rename(f"{name}.whole.zarr")
            kill(name)
    for output in sorted(Path().glob("*.zarr")):
        if output.stem != "stack":
            noted["outputs"][output.stem] = digests(output)
    for rest in (*Path().glob("*.report.*"), *Path().glob("*.tif"), Path("tests")):
        rest.unlink()
    shutil.rmtree("stack.zarr")
    Path("digests.json").write_text(json.dumps(noted, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
