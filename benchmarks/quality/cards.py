"""Scores of bundled models for their cards: images, mean PSNR and SSIM of every set in ``docs/quality.json``."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.quality.enlarging import GENERATED
from benchmarks.quality.records import Records
from napari_restore import api
from napari_restore.models.zoo import weights_path

__all__ = ["disagreements", "write", "write_field"]


def disagreements(records: Records) -> list[str]:
    """Cards whose scores are not those of the records."""
    return [
        f"the scores on {path.name} are not those of {records.path.name}; run --cards"
        for path, scores in _cards(records).items()
        if _content(path)["scores"] != scores
    ]


def write(records: Records) -> None:
    for path, scores in _cards(records).items():
        write_field(path, "scores", scores)


def write_field(path: Path, name: str, value: object) -> None:
    """Write one field of the card at `path`."""
    content = {**_content(path), name: value}
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _cards(records: Records) -> dict[Path, dict[str, dict[str, float]]]:
    bundled = [card for card in api.models() if card.bundled and card.name in records.weights]
    return {weights_path(card).with_suffix(".json"): _scores(records, card.name) for card in bundled}


def _scores(records: Records, name: str) -> dict[str, dict[str, float]]:
    """By set; of the sets to enlarge, which hold both, generated images on their own."""
    scores = {}
    for group in records.sets:
        images = records.images(group, name)
        generated = {image for image in images if group.startswith("x") and image.startswith(GENERATED)}
        for title, among in ((group, images.keys() - generated), (f"{group}, generated", generated)):
            means = {
                column: records.mean(group, name, column, among=dict.fromkeys(among)) for column in ("psnr", "ssim")
            }
            found = {column: float(f"{mean:.4g}") for column, mean in means.items() if mean is not None}
            if found:
                scores[title] = {"images": len(among), **found}
    return scores


def _content(path: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return content
