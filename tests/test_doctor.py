from __future__ import annotations

from importlib import metadata

import pytest
from packaging.requirements import Requirement
from typer.testing import CliRunner

from napari_restore import __version__, cli, doctor


def test_it_finds_what_is_here() -> None:
    found = list(doctor.examine())
    states = {finding.what: finding.state for finding in found}
    assert all(finding.good for finding in found)
    assert states["napari-restore"].startswith(__version__)
    assert f"torch {metadata.version('torch')}" in states["required packages"]
    assert {"processor", "free memory", "back end eager", "models", "cache", "napari plugin", "extra lif"} <= set(
        states
    )


def test_what_does_not_fit_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    properly = metadata.version

    def version(name: str) -> str:
        if name == "zarr":
            return "2.18.0"
        if name in ("einops", "liffile"):
            raise metadata.PackageNotFoundError(name)
        return properly(name)

    monkeypatch.setattr(metadata, "version", version)
    wrong = [finding.state for finding in doctor.examine() if not finding.good]
    needed = next(one.specifier for one in map(Requirement, metadata.requires("napari-restore")) if one.name == "zarr")
    assert f'zarr is 2.18.0, and {needed} is needed: pip install -U "zarr"' in wrong
    assert 'einops is not installed: pip install "einops>=0.8"' in wrong
    states = {finding.what: finding for finding in doctor.examine()}
    assert states["extra lif"].good and states["extra lif"].state.endswith('pip install "napari-restore[lif]"')
    result = CliRunner().invoke(cli.app, ["doctor"])
    assert result.exit_code == 1 and "required package: ! zarr is 2.18.0" in result.stdout


def test_a_part_that_breaks_is_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("the driver is gone")

    monkeypatch.setitem(doctor._EXAMINATIONS, "machine", broken)
    found = {finding.what: finding for finding in doctor.examine()}
    assert found["machine"].state == "cannot be examined: RuntimeError: the driver is gone"
    assert not found["machine"].good and found["napari plugin"].good
