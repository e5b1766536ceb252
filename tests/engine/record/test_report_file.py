from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from napari_restore import api, cli

SETTINGS: dict[str, Any] = {
    "tile": 64, "halo": 8, "workers": 1, "value_range": (0, 2000), "valid_range": "all", "fill_values": "none",
    "neighbours": "none", "device": "cpu",
}  # fmt: skip
EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def source() -> np.ndarray:
    return np.random.default_rng(0).poisson(500, (3, 75, 110)).astype(np.uint16)


@pytest.fixture
def output(source: np.ndarray, tmp_path: Path, checkpoints: dict[str, Path]) -> Path:
    api.denoise(source, tmp_path / "o.zarr", model=checkpoints["local"], axes="ZYX", **SETTINGS)
    return tmp_path / "o.zarr"


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that a web browser was asked for."""
    found: list[str] = []
    monkeypatch.setattr("webbrowser.open", found.append)
    return found


def test_a_run_leaves_a_page_with_pictures_in_one_file(output: Path) -> None:
    page = Path(f"{output}.report.html").read_text()
    assert page.count("<img ") == 4 and page.count("<svg ") == 2
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []
    assert "histogram of what was removed" in page and "throughput" in page and "<td>64</td>" in page
    assert len(page) < 300_000 and api.run_report(output).html == page


def test_a_verification_is_on_the_page_and_the_pictures_stay(output: Path) -> None:
    before = re.findall("<img [^>]*>", Path(f"{output}.report.html").read_text())
    assert "not verified" in Path(f"{output}.report.html").read_text()
    api.verify(output)
    page = Path(f"{output}.report.html").read_text()
    assert "not verified" not in page and "sound" in page and re.findall("<img [^>]*>", page) == before


def test_a_notebook_shows_nothing_of_a_changed_page_but_its_pictures(output: Path) -> None:
    page = Path(f"{output}.report.html")
    page.write_text(
        page.read_text().replace("<figure>", f"{EVIL}<figure>").replace('alt="before', f'alt="{EVIL}before')
    )
    content = json.loads(Path(f"{output}.report.json").read_text())
    content["source"]["name"], content["source"]["location"] = EVIL, None
    Path(f"{output}.report.json").write_text(json.dumps(content))
    shown = api.run_report(output)._repr_html_()
    assert "<script" not in shown and "&lt;script&gt;" in shown and shown.count("<img ") == 4


def test_the_command_line_opens_the_page(output: Path, opened: list[str]) -> None:
    result = CliRunner().invoke(cli.app, ["report", str(output), "--open"])
    assert result.exit_code == 0 and result.output.strip() == f"{output}.report.html"
    assert opened == [Path(f"{output}.report.html").as_uri()]


def test_a_result_of_an_earlier_version_has_a_page_without_pictures(output: Path, opened: list[str]) -> None:
    content = json.loads(Path(f"{output}.report.json").read_text())
    del content["removed"], content["sessions"][0]["rates"]
    Path(f"{output}.report.json").write_text(json.dumps(content))
    Path(f"{output}.report.html").unlink()
    place = api.run_report(output).open()
    assert opened and place == f"{output}.report.html"
    assert "<img " not in Path(place).read_text() and "finished" in Path(place).read_text()


def test_a_batch_has_a_page(source: np.ndarray, tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    (tmp_path / "in").mkdir()

    tifffile.imwrite(tmp_path / "in/a.ome.tif", source, photometric="minisblack", metadata={"axes": "ZYX"})
    api.restore_batch(tmp_path / "in", tmp_path / "out", model=checkpoints["local"], **SETTINGS)
    page = (tmp_path / "out/batch.report.html").read_text()
    assert "a.zarr" in page and "done" in page and api.run_report(tmp_path / "out").html == page


def test_pictures_that_cannot_be_made_are_said(
    source: np.ndarray, tmp_path: Path, checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError("the source is gone")

    monkeypatch.setattr("napari_restore.engine.record.run_report.pictures_of", broken)
    api.denoise(source, tmp_path / "o.zarr", model=checkpoints["local"], axes="ZYX", **SETTINGS)
    page = Path(f"{tmp_path / 'o.zarr'}.report.html").read_text()
    assert "There are no pictures: the source is gone" in page and "finished" in page
