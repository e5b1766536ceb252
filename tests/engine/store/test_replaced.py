"""What a run with overwrite replaces is there until the new result is, and is never its own source."""

from __future__ import annotations

import base64
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from stored_files import files

from napari_restore import api
from napari_restore.engine.store.lock import OutputLock
from napari_restore.engine.store.replaced import kept_results
from napari_restore.engine.store.sinks import OmeZarrSink
from napari_restore.errors import OutputError

SETTINGS: dict[str, Any] = {"tile": 64, "halo": 4, "device": "cpu", "axes": "ZYX", "value_range": (0, 300)}
PIXELS = np.random.default_rng(0).poisson(100, (3, 64, 70)).astype(np.uint16)


def beside(path: Path) -> list[str]:
    """What lies beside a result, reports and sources left out."""
    return sorted(name for name in os.listdir(path.parent) if name.startswith("."))


@pytest.fixture
def output(tmp_path: Path, checkpoints: dict[str, Path]) -> Path:
    """A complete result, of a recipe of its own."""
    path = tmp_path / "out.zarr"
    api.denoise(PIXELS, path, model=checkpoints["local"], **SETTINGS | {"value_range": (0, 1000)})
    return path


def test_it_is_kept_until_the_new_one_is_complete(output: Path, checkpoints: dict[str, Path]) -> None:
    old, settings = files(output), {"model": checkpoints["local"], "overwrite": True, **SETTINGS}
    events = api.iter_restore(PIXELS, output=output, **settings)
    next(events)
    (kept,) = kept_results(output)
    assert files(kept) == old
    events.close()
    assert files(kept) == old and beside(output) == [".out.zarr.replaced"]
    api.denoise(PIXELS, output, **settings)
    new = files(output)
    assert beside(output) == [] and new != old
    api.denoise(PIXELS, output.with_name("apart.zarr"), model=checkpoints["local"], **SETTINGS)
    assert new == files(output.with_name("apart.zarr"))


def test_another_try_keeps_the_complete_one_and_not_the_begun(output: Path, checkpoints: dict[str, Path]) -> None:
    old = files(output)
    for high in (100, 200, 300):
        settings = {**SETTINGS, "value_range": (0, high)}
        events = api.iter_restore(PIXELS, output=output, model=checkpoints["local"], overwrite=True, **settings)
        next(events)
        events.close()
        (kept,) = kept_results(output)
        assert files(kept) == old


def test_where_nothing_was_begun_the_old_one_is_put_back(
    output: Path, checkpoints: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    old = files(output)
    events = api.iter_restore(PIXELS, output=output, model=checkpoints["local"], overwrite=True, **SETTINGS)
    next(events)
    events.close()
    shutil.rmtree(output)  # as if it was killed before the new one was made
    with pytest.raises(OutputError, match="is the result of another recipe"):
        api.denoise(PIXELS, output, model=checkpoints["local"], **SETTINGS)
    assert files(output) == old and beside(output) == [] and "put back the result" in caplog.text


def test_what_stands_in_its_place_and_is_not_ours_stays(output: Path, checkpoints: dict[str, Path]) -> None:
    old, home = files(output), output.with_name("home")
    home.mkdir()
    place = output.with_name(".out.zarr.replaced")
    place.symlink_to(home)
    with pytest.raises(OutputError, match="is a link"):
        api.denoise(PIXELS, output, model=checkpoints["local"], overwrite=True, **SETTINGS)
    place.unlink()
    (place / "thesis").mkdir(parents=True)
    with pytest.raises(OutputError, match="holds 'thesis', which this package did not make"):
        api.denoise(PIXELS, output, model=checkpoints["local"], overwrite=True, **SETTINGS)
    assert files(output) == old and (place / "thesis").is_dir() and not os.listdir(home)


def killed_at_rename(number: int, call: Callable[[], Any]) -> bool:
    """Do something in a child that is killed before it renames anything for the n-th time; tell whether it was."""
    if child := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    try:
        count = 0

        def rename(*arguments: Any, of: Callable[..., Any], **more: Any) -> Any:
            nonlocal count
            count += 1
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return of(*arguments, **more)

        for name in ("replace", "rename"):
            real = getattr(os, name)
            setattr(os, name, lambda *a, _real=real, **k: rename(*a, of=_real, **k))
        call()
    finally:
        os._exit(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("again", ["with overwrite", "without"])
def test_killed_at_each_rename(output: Path, checkpoints: dict[str, Path], again: str) -> None:
    old = files(output)
    plan = api.plan(PIXELS, model=checkpoints["local"], **SETTINGS)
    plan.source_crops  # noqa: B018 (read here, and not in each child)

    def replace() -> None:
        OmeZarrSink(plan, output, overwrite=True)

    number = 1
    while killed_at_rename(number, replace):
        number += 1
        places = [output, *output.parent.glob(".out.zarr.*/**/out.zarr")]
        assert any(place.is_dir() and files(place) == old for place in places)
        if again == "without":
            OutputLock(output).release()
            if not output.exists():
                with pytest.raises(OutputError, match="another recipe"):
                    OmeZarrSink(plan, output)
                assert files(output) == old and beside(output) == []
    assert number > 4
    api.denoise(PIXELS, output, model=checkpoints["local"], overwrite=True, **SETTINGS)
    api.denoise(PIXELS, output.with_name("apart.zarr"), model=checkpoints["local"], **SETTINGS)
    assert files(output) == files(output.with_name("apart.zarr")) and beside(output) == []


class Hidden:
    """An array that does not tell where it reads."""

    shape, dtype, ndim = PIXELS.shape, PIXELS.dtype, 3

    def __init__(self, path: Path) -> None:
        self.coded = base64.b64encode(str(path).encode())

    def __getitem__(self, region: Any) -> Any:
        return zarr.open_array(base64.b64decode(self.coded).decode(), mode="r")[region]


def _mapped(path: Path) -> np.memmap[Any, Any]:
    return np.memmap(path / "c/pixels", np.uint16, "r", shape=PIXELS.shape)


def _read(path: str) -> Any:
    return zarr.open_array(path, mode="r")[...]


WAYS: dict[str, Callable[[Path], Any]] = {
    "its path": lambda path: path,
    "a URL": lambda path: path.as_uri(),
    "another way": lambda path: path.parent / "link" / ".." / path.name,
    "a link": lambda path: path.parent / "link/out.zarr",
    "a zarr array": lambda path: zarr.open_array(path, mode="r"),
    "dask": lambda path: da.from_zarr(str(path)),
    "computed by dask": lambda path: da.from_zarr(str(path))[:, ::2].astype(np.float32) + 1,
    "delayed": lambda path: da.from_delayed(dask.delayed(_read)(str(path)), PIXELS.shape, PIXELS.dtype),
    "a memmap": _mapped,
    "a view of a memmap": lambda path: np.asarray(_mapped(path))[:, 1:],
    "hidden": Hidden,
}


@pytest.fixture(params=[*WAYS, "a lazy result"])
def own_source(
    request: pytest.FixtureRequest, tmp_path: Path, checkpoints: dict[str, Path]
) -> Iterator[tuple[Any, Path]]:
    path = tmp_path / "out.zarr"
    array = zarr.create_array(path, shape=PIXELS.shape, chunks=(1, 32, 35), dtype=PIXELS.dtype)
    array[...] = PIXELS
    (path / "c/pixels").write_bytes(PIXELS.tobytes())
    (tmp_path / "link").symlink_to(tmp_path)
    if request.param == "a lazy result":
        yield api.denoise(da.from_zarr(str(path)), model=checkpoints["local"], **SETTINGS), path
    else:
        yield WAYS[request.param](path), path


def test_a_run_never_replaces_its_own_source(own_source: tuple[Any, Path], checkpoints: dict[str, Path]) -> None:
    source, path = own_source
    with pytest.raises(OutputError, match="choose an output elsewhere"):
        api.denoise(source, path, model=checkpoints["local"], overwrite=True, **SETTINGS)
    assert np.array_equal(zarr.open_array(path, mode="r")[...], PIXELS)
    assert beside(path) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="a mount needs root")
def test_a_mount_is_seen_through(tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    folder, mount = tmp_path / "folder", tmp_path / "mount"
    array = zarr.create_array(folder / "out.zarr", shape=PIXELS.shape, chunks=(1, 32, 35), dtype=PIXELS.dtype)
    array[...] = PIXELS
    mount.mkdir()
    if os.system(f"mount --bind {folder} {mount} 2>/dev/null"):
        pytest.skip("this container may not mount")
    try:
        for source in (mount / "out.zarr", da.from_zarr(str(mount / "out.zarr"))):
            with pytest.raises(OutputError, match="choose an output elsewhere"):
                api.denoise(source, folder / "out.zarr", model=checkpoints["local"], overwrite=True, **SETTINGS)
    finally:
        os.system(f"umount {mount}")
    assert np.array_equal(zarr.open_array(folder / "out.zarr", mode="r")[...], PIXELS)
