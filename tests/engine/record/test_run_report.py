from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_restore import __version__, api
from napari_restore.engine.compute.block import Receipt
from napari_restore.engine.record.report_file import report_place, write_report
from napari_restore.engine.record.run_report import Session
from napari_restore.engine.store.progress import Progress
from napari_restore.errors import ChunkError, OutputError
from napari_restore.images.staging import Stage
from napari_restore.images.writing import ome_zarr

SETTINGS: dict[str, Any] = {"tile": 64, "halo": 8, "workers": 1, "value_range": (0, 2000)}
KNOWN: dict[str, Any] = SETTINGS | {"valid_range": "all", "fill_values": "none", "neighbours": "none"}
"""With these no sample is read."""


@pytest.fixture
def source(tmp_path: Path, stack: np.ndarray) -> Path:
    """A stack of six planes, each a block."""
    tifffile.imwrite(tmp_path / "in.ome.tif", np.tile(stack, (2, 1, 1)), metadata={"axes": "ZYX", "PhysicalSizeX": 0.2})
    return tmp_path / "in.ome.tif"


def content(output: Path) -> dict[str, Any]:
    return json.loads(Path(f"{output}.report.json").read_text())  # type: ignore[no-any-return]


def test_it_says_what_was_made_of_what_and_how_fast(source: Path, tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    output = tmp_path / "o.zarr"
    api.denoise(source, output, model=checkpoints["local"], **SETTINGS)
    found = content(output)
    (session,) = found["sessions"]
    plan = api.plan(source, model=checkpoints["local"], **SETTINGS)
    assert found["model"]["sha256"] == plan.card.sha256 and found["fingerprint"] == plan.fingerprint
    assert found["source"]["location"] == str(source) and len(found["source"]["metadata_sha256"]) == 64
    assert session["versions"]["napari-restore"] == __version__ and {"torch", "zarr", "python"} <= set(
        session["versions"]
    )
    assert session["how"] == "finished" and session["began"] <= session["ended"]
    assert (session["blocks"], session["tiles"], session["pixels"]) == (plan.blocks, plan.tiles, 6 * 75 * 110)
    assert session["seconds"] > 0 and session["retries"] == 0 and session["filled"] == []
    assert found["seams"]["windows"] == 6 and 0.5 < found["seams"]["ratio"] < 1.5
    page = Path(f"{output}.report.md").read_text()
    for words in (
        plan.card.sha256[:16],
        "tiles/s",
        "not verified",
        "all pixels",
        "| tile | 64 |",
    ):
        assert words in page, words
    assert page == str(api.run_report(output))
    with pytest.raises(OutputError, match="no report"):
        api.run_report(source)


def test_every_session_is_kept_and_how_it_ended(source: Path, tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    output, model = tmp_path / "o.zarr", checkpoints["local"]
    events = api.iter_restore(source, output=output, model=model, **SETTINGS)
    next(event for event in events if event.done >= 2)
    events.close()
    api.denoise(source, output, model=model, **SETTINGS)
    first, second = content(output)["sessions"]
    assert first["how"] == "stopped" and 2 <= first["blocks"] < 6
    # A block may be stored while the run is being stopped, so that nobody takes its receipt.
    assert second["how"] == "finished" and second["blocks_before"] >= first["blocks"]
    assert second["blocks_before"] + second["blocks"] == 6
    before_again = content(output)
    api.denoise(source, output, model=model, **SETTINGS)  # nothing to do: nothing to say
    assert content(output) == before_again
    api.denoise(source, output, model=model, overwrite=True, **SETTINGS)
    assert len(content(output)["sessions"]) == 1


def test_a_failure_is_named_and_what_was_filled_is_listed_until_it_is_healed(
    tmp_path: Path, stack: np.ndarray, checkpoints: dict[str, Path]
) -> None:
    tifffile.imwrite(tmp_path / "in.tif", stack, compression="zlib", metadata={"axes": "ZYX"}, photometric="minisblack")
    with tifffile.TiffFile(tmp_path / "in.tif") as tiff:
        offset = tiff.pages[2].dataoffsets[0]
    good = (tmp_path / "in.tif").read_bytes()
    whole = bytearray(good)
    whole[offset : offset + 200] = bytes(200)
    (tmp_path / "in.tif").write_bytes(whole)
    with pytest.raises(ChunkError):
        api.denoise(tmp_path / "in.tif", tmp_path / "o.zarr", model=checkpoints["local"], **KNOWN)
    (session,) = content(tmp_path / "o.zarr")["sessions"]
    assert session["how"] == "failed" and "in.tif" in session["message"]
    assert "not measured" in str(api.run_report(tmp_path / "o.zarr"))
    api.denoise(tmp_path / "in.tif", tmp_path / "o.zarr", model=checkpoints["local"], on_error="fill", **KNOWN)
    found = api.run_report(tmp_path / "o.zarr")
    assert [session["how"] for session in found.content["sessions"]] == ["failed", "finished"]
    assert list(found.content["filled"]) == ["2/0/0"] and found.content["sessions"][1]["filled"]
    assert "of the source could not be read and w" in str(found) and "- block 2/0/0: " in str(found)
    (tmp_path / "in.tif").write_bytes(good)
    assert api.verify(tmp_path / "o.zarr", repair=True).ok
    found = api.run_report(tmp_path / "o.zarr")
    assert found.content["filled"] == {} and "all pixels" in str(found) and len(found.content["sessions"]) == 3


def test_a_killed_session_leaves_what_it_had(source: Path, tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    output = tmp_path / "o.zarr"
    command = [
        sys.executable, "-m", "napari_restore", "denoise", str(source), str(output), "--quiet", "--workers", "1",
        "--model", str(checkpoints["local"]), "--tile", "64", "--halo", "8", "--range", "0", "2000",
    ]  # fmt: skip
    child = subprocess.Popen(command, env=os.environ)
    while not Path(f"{output}.report.md").exists():
        assert child.poll() is None, "the run ended before it could be killed"
        time.sleep(0.002)
    child.kill()
    child.wait()
    assert "no end is recorded" in str(api.run_report(output))
    api.denoise(source, output, model=checkpoints["local"], **SETTINGS)
    sessions = content(output)["sessions"]
    assert sessions[-1]["how"] == "finished"
    assert [session["how"] for session in sessions[:-1]] == [None] or sessions[-1]["blocks_before"] == 0


def test_a_session_of_coarser_levels_alone(tmp_path: Path, stack: np.ndarray, checkpoints: dict[str, Path]) -> None:
    output, settings = tmp_path / "o.zarr", {"model": checkpoints["local"], "axes": "ZYX", **SETTINGS}
    source = np.tile(stack, (1, 1, 3))
    api.denoise(source, output, **settings)
    for file in [file for file in (output / "1/c").rglob("*") if file.is_file()]:
        file.unlink()  # as a run leaves it that is killed behind its last block
    api.denoise(source, output, **settings)
    first, second = content(output)["sessions"]
    assert (first["blocks_before"], second["blocks_before"], second["blocks"]) == (0, 3, 0)
    assert "3 of 3 blocks" in str(api.run_report(output))


def test_filled_regions_and_retries_are_listed(source: Path, tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    plan = api.plan(source, model=checkpoints["local"], **SETTINGS)
    (tmp_path / "o.zarr").mkdir()
    with Session(plan, tmp_path / "o.zarr") as session:
        session.note(Progress("restoring", 0, plan.blocks, 0, plan.tiles, 0.0))
        session.block(
            Receipt((0, 0, 0), 12, 1.0, "here:1", filled=("chunk 0/0 of plane 3: CRC",), retries=2, failures=("EIO",))
        )
        assert content(tmp_path / "o.zarr")["sessions"][0]["filled"] == ["chunk 0/0 of plane 3: CRC"]
    found = api.run_report(tmp_path / "o.zarr")
    assert found.content["sessions"][0]["retries"] == 2
    assert "1 region of the source could not be read and was filled" in str(
        found
    ) and "- chunk 0/0 of plane 3: CRC" in str(found)
    assert "could not be measured" in str(found)


def test_verification_is_kept_until_the_next_block(source: Path, tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    output = tmp_path / "o.zarr"
    api.denoise(source, output, model=checkpoints["local"], **SETTINGS)
    api.verify(output)
    assert content(output)["verification"]["ok"] and "sound" in str(api.run_report(output))
    (output / "0/c/1/0/0").unlink()
    api.verify(output)
    assert content(output)["verification"]["missing"] == ["level 0, unit 1/0/0"]
    api.verify(output, repair=True)
    found = content(output)
    assert found["verification"]["ok"] and len(found["sessions"]) == 2 and found["sessions"][1]["blocks"] == 1


def test_a_report_that_cannot_be_written_ends_no_run(
    source: Path, tmp_path: Path, checkpoints: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "o.zarr.report.json").mkdir()
    api.denoise(source, tmp_path / "o.zarr", model=checkpoints["local"], **SETTINGS)
    assert ome_zarr.stored_units(tmp_path / "o.zarr", 0).all() and "cannot be written" in caplog.text


def test_a_report_is_not_written_behind_a_link(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outside, stage = tmp_path / "outside", Stage(tmp_path / "own")
    for folder in (outside, stage.folder):
        folder.mkdir()
    (tmp_path / "plate.zarr.reports").symlink_to(outside)
    write_report(f"{tmp_path}/plate.zarr.reports/A/1/0", {"format": 1}, str, stage)
    assert not os.listdir(outside) and "lies behind a link" in caplog.text


def test_beside_an_object_in_a_store(source: Path, checkpoints: dict[str, Path]) -> None:
    plan = api.plan(source, model=checkpoints["local"], **SETTINGS)
    session = Session(plan, "memory://bucket/o.zarr")
    session.note(Progress("restoring", 0, plan.blocks, 0, plan.tiles, 0.0))
    session.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    found = api.run_report("memory://bucket/o.zarr")
    assert found.place == "memory://bucket/o.zarr.report.json" and found.content["sessions"][0]["how"] == "stopped"


def test_an_image_inside_a_zarr_has_its_report_outside(tmp_path: Path) -> None:
    (tmp_path / "plate.zarr/A/1").mkdir(parents=True)
    for folder in ("", "A", "A/1"):
        (tmp_path / "plate.zarr" / folder / "zarr.json").write_text("{}")
    assert report_place(tmp_path / "plate.zarr/A/1/0") == str(tmp_path / "plate.zarr.reports/A/1/0")
    assert report_place(tmp_path / "cells.zarr") == str(tmp_path / "cells.zarr.report")
