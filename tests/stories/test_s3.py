"""Source and output in an object store: a real server that speaks S3, on this machine."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from ome_zarr_models.v04.image import Image as OldOmeImage
from ome_zarr_models.v05.image import Image as OmeImage
from typer.testing import CliRunner

from napari_restore import api
from napari_restore.cli import app
from napari_restore.errors import OutputError, SourceError
from napari_restore.images.store import filesystem

SETTINGS: dict[str, Any] = {"tile": 64, "halo": 4, "workers": 2, "axes": "ZYX"}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server with a bucket."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("DEFAULT_REGION", "us-east-1")):
            patch.setenv(f"AWS_{name}", value)
        filesystem("s3://bucket")[0].mkdir("bucket")
        yield "s3://bucket"
    server.stop()


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(0).poisson(100, (8, 32, 260)).astype(np.uint16)


@pytest.fixture(scope="module")
def source(server: str, pixels: np.ndarray) -> str:
    url = f"{server}/source.zarr"
    array = zarr.create_array(url, shape=pixels.shape, chunks=(1, 32, 128), dtype=pixels.dtype)
    array[...] = pixels
    return url


@pytest.fixture(scope="module")
def whole(
    pixels: np.ndarray, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """Every object of a run on this machine's disk."""
    path = tmp_path_factory.mktemp("whole") / "whole.zarr"
    api.denoise(pixels, path, model=checkpoints["denoiser"], **SETTINGS)
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def objects(url: str, *, pixels_only: bool = True) -> dict[str, bytes]:
    files, root = filesystem(url)
    keys = files.find(root)
    return {key.removeprefix(root + "/"): files.cat_file(key) for key in keys if "/c/" in key or not pixels_only}


def only_pixels(whole: dict[str, bytes]) -> dict[str, bytes]:
    return {key: content for key, content in whole.items() if "/c/" in key}


def begin(source: Any, url: str, model: Path, blocks: int, **settings: Any) -> None:
    events = api.iter_restore(source, output=url, model=model, **SETTINGS | settings)
    next(event for event in events if event.done >= blocks)
    events.close()


def test_from_store_to_store(source: str, server: str, checkpoints: dict[str, Path], whole: dict[str, bytes]) -> None:
    url = f"{server}/folder/out.zarr"
    assert api.denoise(source, url, model=checkpoints["denoiser"], **SETTINGS) == url
    assert objects(url) == only_pixels(whole)
    digests = {"0/.sha256sums"}  # of a folder alone
    assert objects(url, pixels_only=False).keys() == whole.keys() - digests  # and nothing else: no marks are left
    assert OmeImage.from_zarr(zarr.open_group(url, mode="r")).ome_attributes.multiscales
    again = api.open_image(url, level=1)  # the result is a source
    assert again.shape == (8, 16, 130)
    found = api.verify(url, recompute=2)
    assert found.ok and found.units == 16


def test_version_04(source: str, server: str, checkpoints: dict[str, Path]) -> None:
    url = f"{server}/old.zarr"
    api.denoise(source, url, model=checkpoints["denoiser"], ome_version="0.4", **SETTINGS)
    assert OldOmeImage.from_zarr(zarr.open_group(url, mode="r")).attributes.multiscales
    assert api.verify(url).ok


def test_resume_and_overwrite(source: str, server: str, checkpoints: dict[str, Path], whole: dict[str, bytes]) -> None:
    url = f"{server}/resumed.zarr"
    begin(source, url, checkpoints["denoiser"], 2)
    assert 2 <= len(objects(url)) < 8
    events = list(api.iter_restore(source, output=url, model=checkpoints["denoiser"], **SETTINGS))
    assert events[0].done >= 2
    assert objects(url) == only_pixels(whole)
    with pytest.raises(OutputError, match=r"tile: 64 stored, 96 now"):
        api.denoise(source, url, model=checkpoints["denoiser"], **SETTINGS | {"tile": 96})
    files, root = filesystem(url)
    files.pipe_file(f"{root}/0/c/extra", b"of something else")
    begin(source, url, checkpoints["denoiser"], 1, overwrite=True, dtype="float32")
    assert "0/c/extra" not in objects(url)


def test_two_runs_at_once(source: str, server: str, checkpoints: dict[str, Path], whole: dict[str, bytes]) -> None:
    url, refused = f"{server}/both.zarr", []
    ready = threading.Barrier(2)

    def run() -> None:
        ready.wait()
        try:
            api.denoise(source, url, model=checkpoints["denoiser"], **SETTINGS)
        except OutputError as error:
            refused.append(error)

    runs = [threading.Thread(target=run) for _ in range(2)]
    for one in runs:
        one.start()
    for one in runs:
        one.join()
    assert len(refused) == 1 and "is being written by another run" in str(refused[0])
    assert objects(url) == only_pixels(whole)
    assert not filesystem(url)[0].exists(f"{filesystem(url)[1]}.lock")


def test_an_object_that_goes_during_the_run_is_told(
    source: str, server: str, checkpoints: dict[str, Path], whole: dict[str, bytes]
) -> None:
    url = f"{server}/gone.zarr"
    events = api.iter_restore(source, output=url, model=checkpoints["denoiser"], **SETTINGS)
    next(event for event in events if event.done >= 2)
    files, root = filesystem(url)
    files.rm_file(next(key for key in files.find(root) if "/0/c/" in key))
    with pytest.raises(OutputError, match="was stored and is not there"):
        list(events)
    api.denoise(source, url, model=checkpoints["denoiser"], **SETTINGS)
    assert objects(url) == only_pixels(whole)


def test_killed_while_it_was_made(
    source: str, server: str, checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_restore.images.writing import ome_zarr

    url, create = f"{server}/half.zarr", ome_zarr.create

    def half(location: str, **settings: Any) -> None:
        create(location, **settings)
        files, root = filesystem(url)
        files.rm_file(f"{root}/1/zarr.json")
        raise KeyboardInterrupt

    monkeypatch.setattr(ome_zarr, "create", half)
    with pytest.raises(KeyboardInterrupt):
        api.denoise(source, url, model=checkpoints["denoiser"], **SETTINGS)
    monkeypatch.undo()
    begin(source, url, checkpoints["denoiser"], 1)


def test_repair(source: str, server: str, checkpoints: dict[str, Path], whole: dict[str, bytes]) -> None:
    url = f"{server}/bad.zarr"
    api.denoise(source, url, model=checkpoints["denoiser"], **SETTINGS)
    files, root = filesystem(url)
    good = files.cat_file(f"{root}/0/c/1/0/0")
    files.pipe_file(f"{root}/0/c/1/0/0", good[:50] + bytes([good[50] ^ 1]) + good[51:])
    files.pipe_file(f"{root}/0/c/2/0/0", b"")
    files.rm_file(f"{root}/1/c/3/0/0")
    found = api.verify(url)
    assert [str(unit) for unit in found.bad] == ["level 0, unit 2/0/0", "level 1, unit 3/0/0", "level 0, unit 1/0/0"]
    assert CliRunner().invoke(app, ["verify", url]).exit_code == 1
    assert CliRunner().invoke(app, ["verify", url, "--repair"]).exit_code == 0
    assert objects(url) == only_pixels(whole)


def test_another_process_writes_to_the_store(
    source: str, server: str, checkpoints: dict[str, Path], whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import Client, LocalCluster

    from napari_restore.engine.run.cluster.workers import Cluster

    monkeypatch.setattr(Cluster, "threads", 1)
    url = f"{server}/cluster.zarr"
    with (
        LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=":0", memory_limit=0) as here,
        Client(here) as client,
    ):
        api.denoise(source, url, model=checkpoints["denoiser"], scheduler=client, **SETTINGS)
    assert objects(url) == only_pixels(whole)


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_no_zarr_is_never_replaced(
    source: str, server: str, checkpoints: dict[str, Path], overwrite: bool
) -> None:
    files, root = filesystem(f"{server}/papers")
    files.pipe_file(f"{root}/thesis.txt", b"the only copy")
    for url in (f"{server}/papers", f"{server}/papers/thesis.txt"):
        with pytest.raises(OutputError, match="choose another output"):
            api.denoise(source, url, model=checkpoints["denoiser"], overwrite=overwrite, **SETTINGS)
    assert files.cat_file(f"{root}/thesis.txt") == b"the only copy"
    for url in (source, f"{source}/out.zarr", server):
        with pytest.raises(OutputError, match="inside one another"):
            api.denoise(source, url, model=checkpoints["denoiser"], overwrite=overwrite, **SETTINGS)


def test_what_cannot_be_reached(source: str, server: str, checkpoints: dict[str, Path]) -> None:
    with pytest.raises(OutputError, match=r"s3://nobody/out\.zarr cannot be "):
        api.denoise(source, "s3://nobody/out.zarr", model=checkpoints["denoiser"], **SETTINGS)
    with pytest.raises(SourceError, match=r"s3://bucket/nothing\.zarr does not exist"):
        api.open_image(f"{server}/nothing.zarr")
    with pytest.raises(SourceError, match="has the ending of TIFF, which can only be read from a disk"):
        api.open_image(f"{server}/stack.tif")
    with pytest.raises(SourceError, match=r"cannot be opened: .*or use a path on a disk"):
        api.open_image("nowhere://bucket/image.zarr")
