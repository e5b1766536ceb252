"""Export a model as a package of bioimage.io, which its programs run and test.

The format is the resource description file 0.5: https://bioimage.io/docs/#/bioimageio_model_spec.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import nn

from napari_restore import __version__
from napari_restore.errors import ModelError
from napari_restore.exporting.checking import local_network, new_file
from napari_restore.exporting.examples import PERCENTILES, noisy_cells, run, scaled
from napari_restore.files import fresh_file
from napari_restore.models.card import ModelCard
from napari_restore.models.metadata import CARD_FIELDS
from napari_restore.networks.restormer import Restormer
from napari_restore.networks.swinir import SwinIR
from napari_restore.thumbnail import display_limits, picture_of

__all__ = ["export_bioimageio"]

_FORMAT = "0.5.4"
"""Version of the format; its programs read earlier versions of 0.5 too."""
_SIDE = 192
"""Height and width of the test image, in pixels, or the next size that the model takes."""
_CLASSES = {"restormer": Restormer, "swinir": SwinIR}
_AUTHORS = ("napari-restore developers",)
"""Authors of the bundled weights."""
_SPDX = re.compile(r"[A-Za-z0-9.+-]+")
"""A licence that is named by its identifier in the list of SPDX."""


def export_bioimageio(card: ModelCard, target: Path, authors: Sequence[str] = ()) -> None:
    """Export a model as a package of bioimage.io: a ZIP file with everything that its programs need.

    Parameters
    ----------
    card : ModelCard
        The model.
    target : Path
        New file, with the suffix ``.zip``.
    authors : sequence of str
        Authors of the weights. If empty, those of bundled weights; other packages then name none.

    Raises
    ------
    ModelError
        If the weights cannot be loaded, or the file exists or cannot be written.
    """
    new_file(target, ".zip")
    card, network = local_network(card)
    least = _smallest(card)
    side = least + math.ceil(max(0, _SIDE - least) / card.alignment) * card.alignment
    image = noisy_cells(card, side)
    restored = run(network, scaled(image))
    files: dict[str, bytes] = {
        "test_input.npy": _npy(image),
        "test_output.npy": _npy(restored),
        "cover.png": bytes(imagecodecs.png_encode(_cover(card, image, restored))),
        "README.md": _documentation(card).encode(),
        "environment.yaml": _environment().encode(),
        "LICENSE.md": f"{card.licence}\n\n{card.licence_url}\n".encode(),
        "weights.pt": _weights(network),
    }
    described = _description(card, files, least, authors or (_AUTHORS if card.bundled else ()))
    files["rdf.yaml"] = yaml.safe_dump(described, sort_keys=False, allow_unicode=True).encode()
    try:
        with fresh_file(target) as fresh, zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    except OSError as error:
        raise ModelError(f"{target} cannot be written: {error}; choose a place with write access.") from error


def _smallest(card: ModelCard) -> int:
    """Return the smallest height and width of an input: some pixels are left without the halo."""
    least = max(card.minimum_size, 2 * card.halo + card.alignment, 64)
    return math.ceil(least / card.alignment) * card.alignment


def _npy(array: NDArray[Any]) -> bytes:
    """Return the content of a file of NumPy."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _weights(network: nn.Module) -> bytes:
    """Return a file of the weights as plain tensors, in float32."""
    file = io.BytesIO()
    torch.save({name: value.detach().clone() for name, value in network.state_dict().items()}, file)
    return file.getvalue()


def _description(card: ModelCard, files: dict[str, bytes], least: int, authors: Sequence[str]) -> dict[str, Any]:
    """Return the description of the package, as JSON types."""

    def file(name: str) -> dict[str, str]:
        return {"source": name, "sha256": hashlib.sha256(files[name]).hexdigest()}

    def channels(count: int) -> dict[str, Any]:
        return {"type": "channel", "channel_names": [f"channel{number}" for number in range(count)]}

    size = {"min": least, "step": card.alignment}
    scale_range = {"axes": ["channel", "y", "x"], "min_percentile": PERCENTILES[0], "max_percentile": PERCENTILES[1]}
    named = _SPDX.fullmatch(card.licence)
    network = _CLASSES[card.architecture]
    return {
        "type": "model",
        "format_version": _FORMAT,
        "name": re.sub(r"[^\w\- +()]", "-", card.name)[:64],
        "description": f"{card.title}. Restores tiles of any size; napari-restore runs whole images and volumes.",
        "covers": ["cover.png"],
        "documentation": "README.md",
        "authors": [{"name": name} for name in authors],
        "cite": [{"text": card.paper, "doi": f"10.48550/arXiv.{card.paper.rpartition('arXiv ')[2]}"}],
        **({"license": card.licence} if named else {}),
        "attachments": [] if named else [file("LICENSE.md")],
        "tags": [card.task, card.architecture, "2d", "image-restoration", "napari-restore"],
        "inputs": [
            {
                "id": "input",
                "axes": [
                    {"type": "batch"},
                    channels(card.in_channels),
                    *({"type": "space", "id": axis, "size": size} for axis in "yx"),
                ],
                "test_tensor": file("test_input.npy"),
                "data": {"type": "float32"},
                "preprocessing": [
                    {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
                    {"id": "scale_range", "kwargs": scale_range},
                ],
            }
        ],
        "outputs": [
            {
                "id": "output",
                "axes": [
                    {"type": "batch"},
                    channels(card.out_channels),
                    *(
                        {
                            "type": "space", "id": axis, "halo": card.halo * card.scale, "scale": 1 / card.scale,
                            "size": {"tensor_id": "input", "axis_id": axis},
                        }
                        for axis in "yx"
                    ),
                ],
                "test_tensor": file("test_output.npy"),
                "data": {"type": "float32"},
            }
        ],
        "weights": {
            "pytorch_state_dict": {
                **file("weights.pt"),
                "architecture": {
                    "callable": network.__name__,
                    "import_from": network.__module__,
                    "kwargs": _plain(card.hyperparameters),
                },
                "pytorch_version": torch.__version__.partition("+")[0],
                "dependencies": file("environment.yaml"),
            }
        },
        "config": {
            "napari_restore": {
                "version": __version__,
                "card": _plain({name: getattr(card, name) for name in CARD_FIELDS if getattr(card, name)}),
            }
        },
    }  # fmt: skip


def _plain(value: Any) -> Any:
    """Return a value with lists for tuples, as YAML has them."""
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value


def _cover(card: ModelCard, image: NDArray[np.float32], restored: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a picture of input and output side by side, twice as wide as high."""
    shown = [image[0].repeat(card.scale, axis=1).repeat(card.scale, axis=2), restored[0]]
    count = min(3, card.in_channels, card.out_channels)
    colours = ("FF0000", "00FF00", "0000FF") if count == 3 else ("FFFFFF",)
    panels = [picture_of(one[:count], display_limits(one[:count]), colours[:count], one.shape[-1]) for one in shown]
    return np.concatenate(panels, axis=1)


def _documentation(card: ModelCard) -> str:
    """Return the page about the model."""
    low, high = PERCENTILES
    scores = [f"| {name} | {s['images']} | {s['psnr']:.2f} dB | {s['ssim']:.3f} |" for name, s in card.scores.items()]
    table = ["| images | number | PSNR | SSIM |", "|---|---|---|---|", *scores] if scores else ["Not measured."]
    return "\n".join(
        [
            f"# {card.name}",
            "",
            f"{card.title}. Task: {card.task}. Trained for: {card.noise}.",
            "",
            "## Input and output",
            "",
            f"The {low} and {high} percentile of the input become 0 and 1, and the output is in these units too: "
            "multiply by their difference and add the lower one to get back to the units of the image. The package "
            "napari-restore does this, estimates the noise, and keeps pixel size and channels.",
            "",
            f"An output pixel is right if it is at least {card.halo * card.scale} pixels from the edge of a tile, so a "
            f"halo of {card.halo} input pixels is given with the axes.",
            "",
            "## Validation",
            "",
            *table,
            "",
            "PSNR and SSIM are means over images with a known truth.",
            "",
            "## Licence",
            "",
            f"{card.licence} {card.licence_url}".rstrip(),
            "",
            f"Network: {card.paper}.",
            "",
        ]
    )


def _environment() -> str:
    """Return the conda environment of the package."""
    return "\n".join(
        [
            "channels: [conda-forge]", "dependencies:", "  - python>=3.11", "  - pytorch>=2.6", "  - pip",
            f"  - pip: ['napari-restore>={__version__}']", "",
        ]
    )  # fmt: skip
