from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
import typer
from czi_files import Block, czi_xml, write_czi

from napari_restore import api, cli
from napari_restore.images.writing import ome_zarr


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """Run the command line in this process: exit code, standard output, standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["napari-restore", *map(str, arguments)])
        monkeypatch.setattr("signal.signal", lambda *_: None)
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return call


@pytest.fixture
def tiff(tmp_path: Path, stack: np.ndarray) -> Path:
    path = tmp_path / "cells.ome.tif"
    metadata = {"axes": "ZYX", "PhysicalSizeX": 0.2, "PhysicalSizeXUnit": "µm"}
    tifffile.imwrite(path, stack, metadata=metadata)
    return path


def test_denoise_and_go_on(run, tiff: Path, checkpoints: dict[str, Path], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    arguments = ("denoise", tiff, tmp_path / "o.zarr", "--model", checkpoints["denoiser"], "--tile", 64, "--halo", 8)
    code, out, err = run(*arguments)
    assert code == 0 and out.strip() == str(tmp_path / "o.zarr")
    assert "Z 3 · Y 75 · X 110" in err
    expected = api.denoise(tifffile.imread(tiff), axes="ZYX", model=checkpoints["denoiser"], tile=64, halo=8)
    np.testing.assert_array_equal(ome_zarr.open_level(tmp_path / "o.zarr", 0)[...], expected)
    assert run(*arguments, "--quiet") == (0, "", "")
    code, _, err = run(*arguments, "--range", 0, 99)
    assert code == 2 and "value range:" in err and "--overwrite" in err
    assert run(*arguments, "--range", 0, 99, "--overwrite", "-q")[0] == 0


def test_options_that_are_left_out_are_those_of_the_run_that_goes_on(  # type: ignore[no-untyped-def]
    run, tiff: Path, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    arguments = ("denoise", tiff, tmp_path / "o.zarr", "--model", checkpoints["local"], "-q")
    assert run(*arguments, "--tile", 64, "--dtype", "float32", "--no-pyramid")[0] == 0
    (tmp_path / "o.zarr/0/c/1/0/0").unlink()
    assert run(*arguments)[0] == 0
    assert ome_zarr.stored_units(tmp_path / "o.zarr", 0).all()
    code, _, err = run(*arguments, "--dtype", "same")
    assert code == 2 and "result.dtype: float32 stored, uint16 now" in err


def test_upscale(run, tiff: Path, checkpoints: dict[str, Path], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, _, _ = run("upscale", tiff, tmp_path / "o.zarr", "--scale", 2, "--model", checkpoints["upscaler"], "-q")
    assert code == 0
    image = api.open_image(tmp_path / "o.zarr")
    assert image.sizes["X"] == 220 and image.pixel_size["X"] == pytest.approx(0.1)
    assert image.origin["X"] == pytest.approx(-0.05)
    assert run("upscale", tiff, tmp_path / "p.zarr", "--scale", 3)[0] == 2


def test_settings_of_several_numbers(run, tiff: Path, checkpoints: dict[str, Path], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    command = ("upscale", tiff, tmp_path / "o.zarr", "--model", checkpoints["upscaler"], "-q")
    assert run(*command, "--tile", "64,96", "--blend", 8, "--img-range", 255, "--mean", "0.5")[0] == 0
    recipe = ome_zarr.read_attributes(tmp_path / "o.zarr")["recipe"]  # type: ignore[index]
    assert (recipe["tile"], recipe["blend"], recipe["img_range"], recipe["mean"]) == ([64, 96], 8, 255, [0.5])
    for option, words in (("--tile", "whole numbers separated by commas"), ("--mean", "commas")):
        code, _, err = run(*command, option, "x")
        assert code == 2 and words in " ".join(err.split())


def test_on_a_cluster(run, tiff: Path, checkpoints: dict[str, Path], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from distributed import LocalCluster

    arguments = (
        "denoise",
        tiff,
        tmp_path / "o.zarr",
        "--model",
        checkpoints["denoiser"],
        "--tile",
        64,
        "--halo",
        8,
        "-q",
    )
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0") as cluster:
        address = cluster.scheduler_address
        code, _, err = run(*arguments, "--scheduler", address, "--resources", "GPU=1,disk=2")
        assert code == 2 and "none of the 1 workers" in err and '--resources "GPU=1 disk=2"' in err
        assert run(*arguments, "--scheduler", address, "--resources", "none") == (0, "", "")
    assert ome_zarr.stored_units(tmp_path / "o.zarr", 0).all()
    code, _, err = run(*arguments, "--resources", "GPU")
    assert code == 2 and "write GPU=1" in err


def test_each_setting_is_an_option_of_each_command_that_restores() -> None:
    commands = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    given = {
        name: {option.name for option in commands[name].get_params(typer.Context(commands[name]))}
        for name in ("denoise", "upscale", "batch")
    }
    shared = set.intersection(*given.values())
    assert set(api.Settings.__annotations__) <= shared
    assert given["batch"] - shared == {"sources", "folder", "shared_range", "dry_run"}


def test_info_says_what_it_is_and_what_it_costs(run, tiff: Path) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = run("info", tiff)
    assert code == 0
    for word in (
        "Z 3 · Y 75 · X 110",
        "uint16",
        "X 0.2 micrometer",
        "noise",
        "sigma",
        "tiles",
        "memory",
        "time",
        "chunks",
    ):
        assert word in out, word


def test_one_of_several_images_by_number_and_by_name(run, checkpoints: dict[str, Path], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    scenes = np.random.default_rng(0).integers(0, 4096, (2, 70, 80), np.uint16)
    xml = czi_xml(scenes=[("left", "0,0"), ("right", "9,9")])
    path = write_czi(tmp_path / "cells.czi", [Block(p, x=90 * n, at={"S": n}) for n, p in enumerate(scenes)], xml)
    _, out, _ = run("info", path)
    assert "series     0 of 2: 0 'left', 1 'right'" in out
    model, stored = ("--model", checkpoints["denoiser"], "-q"), []
    for name in ("1", "right"):
        code, _, err = run("denoise", path, tmp_path / f"{name}.zarr", "--series", name, *model)
        assert code == 0, err
        stored.append(ome_zarr.open_level(tmp_path / f"{name}.zarr", 0)[...])
    np.testing.assert_array_equal(stored[0], api.denoise(scenes[1], model=checkpoints["denoiser"]))
    np.testing.assert_array_equal(stored[0], stored[1])
    assert api.verify(tmp_path / "right.zarr", recompute=1).ok
    assert run("denoise", path, tmp_path / "right.zarr", "--series", "right", *model) == (0, "", "")
    code, _, err = run("denoise", path, tmp_path / "up.zarr", "--series", "up", *model)
    assert code == 2 and "series 'up' is not in" in err and "1 'right'" in err


def test_models_are_listed(run) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = run("models")
    assert code == 0
    for card in api.models():
        assert card.name in out and card.licence in out


def test_models_are_inspected_and_converted(run, checkpoints: dict[str, Path], tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    code, out, _ = run("models", "inspect", checkpoints["local"])
    assert code == 0
    for word in ("swinir", "window", "1.0 (assumed)", "alignment", "SHA-256"):
        assert word in out, word
    target = tmp_path / "small.safetensors"
    code, out, _ = run("models", "convert", checkpoints["local"], target, "--half", "--img-range", 255, "--mean", "0.5")
    assert code == 0 and str(target) in out
    _, out, _ = run("models", "inspect", target)
    assert "255.0\n" in out and "(0.5,)" in out and "assumed" not in out
    assert run("models", "inspect", target, "--mean", "x")[0] == 2
    assert run("models", "inspect", "restormer-real-denoise")[0] == 0


def test_models_are_fetched_ahead(  # type: ignore[no-untyped-def]
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAPARI_RESTORE_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("NAPARI_RESTORE_MIRROR", str(tmp_path / "mirror"))
    code, _, err = run("models", "fetch", "swinir-lightweight-x2")
    assert code == 2 and "002_lightweightSR_DIV2K_s64w8_SwinIR-S_x2.pth" in err and "NAPARI_RESTORE_MIRROR" in err
    assert run("models", "fetch", "swinir-x2-light")[:2] == (0, "swinir-x2-light: bundled\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("denoise", "missing.tif", "o.zarr"), "missing.tif"),
        (("denoise", "{tiff}", "o.zarr", "--model", "restormer-denoise-lite"), "did you mean"),
        (("denoise", "{tiff}", "o.zarr", "--tile", "100"), "96 or 104"),
        (("denoise", "{tiff}", "o.zarr", "--axes", "YX"), "YX"),
        (("denoise", "{tiff}", "{tiff}"), "inside"),
        (("denoise", "{folder}", "o.zarr"), "Zarr"),
        (("denoise", "{cut}", "o.zarr"), "cut.tif"),
        (("info", "{text}"), "text.txt"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(  # type: ignore[no-untyped-def]
    run, tiff: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.txt").write_text("no image")
    (tmp_path / "cut.tif").write_bytes(tiff.read_bytes()[:20_000])
    names = {"tiff": tiff, "folder": tmp_path / "folder", "text": tmp_path / "text.txt", "cut": tmp_path / "cut.tif"}
    before = tiff.read_bytes()
    code, out, err = run(*(argument.format(**names) for argument in arguments))
    assert (code, out) == (2, "") and words in err
    assert err.startswith("napari-restore: ") and err.count("\n") == 1
    assert tiff.read_bytes() == before and not (tmp_path / "o.zarr").exists()


def test_as_a_process(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "napari_restore", "denoise", str(tmp_path / "missing.tif"), "o.zarr"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2 and "Traceback" not in result.stderr and len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["[red]x", "y[", "out[", ":smile:", "[bold]"])
def test_brackets_in_a_name_are_no_markup(  # type: ignore[no-untyped-def]
    run, tiff: Path, checkpoints: dict[str, Path], tmp_path: Path, name: str
) -> None:
    output, settings = tmp_path / f"{name}.zarr", ("--model", checkpoints["local"], "--tile", 64, "--halo", 8)
    code, out, _ = run("denoise", tiff, output, *settings)
    assert code == 0 and out.strip() == str(output)
    code, out, _ = run("verify", output)
    assert code == 0 and f"{output}:" in out
    (tmp_path / name).mkdir()
    tiff.rename(tmp_path / name / f"{name}.tif")
    code, out, _ = run("batch", tmp_path / name, tmp_path / f"{name}-results", *settings)
    assert code == 0 and str(tmp_path / f"{name}-results") in out
    code, _, err = run("denoise", tmp_path / name / f"{name}.tif", output, "--model", f"{name}/[/x].pth")
    assert code == 2 and f"{name}/[/x].pth" in err


STREAMS = {
    "closed output": ">&-", "full output": ">/dev/full", "closed error": "2>&-", "full error": "2>/dev/full",
    "both closed": ">&- 2>&-", "a pipe that is gone": "| true", "ASCII": "",
}  # fmt: skip


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "streams",
    [pytest.param(name, marks=() if name in ("full output", "both closed") else pytest.mark.long) for name in STREAMS],
)
def test_a_run_does_not_need_anybody_to_tell(
    tiff: Path, checkpoints: dict[str, Path], tmp_path: Path, streams: str
) -> None:
    command = f"{sys.executable} -m napari_restore denoise {tiff} {tmp_path}/o.zarr --model {checkpoints['local']}"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"} if streams == "ASCII" else None
    done = subprocess.run(
        ["sh", "-c", f"{command} --tile 64 --halo 8 {STREAMS[streams]}"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    assert done.returncode == (1 if streams == "full output" else 0)
    assert ome_zarr.stored_units(tmp_path / "o.zarr", 0).all()


SLOW_TO_END = """
import atexit, signal, time
from napari_restore.cli import main

def app():
    atexit.register(lambda: (print("ends", flush=True), time.sleep(60)))
    print("works", flush=True)
    signal.pause()

main(app)
"""


@pytest.mark.skipif(not hasattr(os, "kill") or sys.platform == "win32", reason="needs signals")
def test_a_process_that_does_not_end_is_ended_by_the_third_interrupt() -> None:
    command = [sys.executable, "-c", SLOW_TO_END]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stderr is not None
        for line in ("works", "ends"):
            assert child.stdout.readline().strip() == line
            child.send_signal(signal.SIGINT)
        for line in ("stopped; stored blocks stay", "Interrupt once more to end at once"):
            while line not in (told := child.stderr.readline()):
                assert told
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=30) == 130


@pytest.mark.skipif(not hasattr(os, "kill") or sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize("times", [2, *(pytest.param(times, marks=pytest.mark.long) for times in (1, 3, 6))])
def test_interrupted_many_times(checkpoints: dict[str, Path], tmp_path: Path, times: int) -> None:
    pixels = np.random.default_rng(0).poisson(100, (24, 128, 128)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "in.tif", pixels, metadata={"axes": "ZYX"})
    model = ("--model", str(checkpoints["denoiser"]))
    command = [sys.executable, "-m", "napari_restore", "denoise", f"{tmp_path}/in.tif", f"{tmp_path}/o.zarr", *model]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as child:
        while not (tmp_path / "o.zarr/0/c").exists() and child.poll() is None:
            time.sleep(0.01)
        for _ in range(times):
            child.send_signal(signal.SIGINT)
            time.sleep(0.02)
        _, err = child.communicate(timeout=60)
    assert child.returncode == 130 and "Traceback" not in err
    assert "the same command" in err or times > 2
    assert subprocess.run([*command, "-q"], check=False, capture_output=True).returncode == 0
    assert ome_zarr.stored_units(tmp_path / "o.zarr", 0).all()
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]
