"""Make cards of the files that the authors of SwinIR and Restormer publish."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

from napari_restore.models.card import PAPERS, ModelCard, tiling_defaults

__all__ = ["published_cards"]


@cache
def published_cards() -> tuple[ModelCard, ...]:
    """Make the cards of all published files, in the order of the release pages (`published.toml`)."""
    text = (resources.files("napari_restore.models") / "published.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)
    return tuple(_cards(table))


def _cards(table: dict[str, Any]) -> Iterator[ModelCard]:
    for family in table["family"]:
        release = table["release"][family["architecture"]]
        for file in family["files"]:
            yield _card(release, family, file)


def _card(release: dict[str, str], family: dict[str, Any], file: dict[str, Any]) -> ModelCard:
    architecture = family["architecture"]
    hyperparameters: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in family["network"].items()
    }
    if "scale" in file:
        hyperparameters["scale"] = file["scale"]
    sigma = file.get("sigma255")
    noise = file.get("noise", family["noise"])
    sigmas = file.get("sigmas255", family.get("sigmas255"))
    return ModelCard(
        name=file["name"],
        title=family["title"],
        task=family["task"],
        architecture=architecture,
        hyperparameters=hyperparameters,
        scale=file.get("scale", 1),
        in_channels=hyperparameters["in_channels"],
        out_channels=hyperparameters["out_channels"],
        noise=noise if sigma is None else f"{noise}, sigma {sigma}/255",
        sigma=None if sigma is None else sigma / 255,
        sigmas=None if sigmas is None else (sigmas[0] / 255, sigmas[1] / 255),
        correlated=family.get("correlated", False),
        licence=release["licence"],
        licence_url=release["licence_url"],
        paper=PAPERS[architecture],
        weights=f"{file['file']}.pth",
        url=f"{release['url']}{file['file']}.pth",
        sha256=file.get("sha256", ""),
        parameters=file["parameters"],
        **tiling_defaults(architecture, hyperparameters),
    )
