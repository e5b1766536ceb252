"""Score the bundled models and the usual filters: ``python -m benchmarks.quality EVAL_FOLDER``.

Every pair of `sets.py` goes through every row of `baselines.py` and every bundled model, no setting of
ours touched; `enlarging.py` does the same for super-resolution. Figures go to ``docs/quality.json``, one short
list for each image, from which the tables of ``docs/quality.md`` are made.

    python -m benchmarks.quality EVAL_FOLDER                        everything: hours on one core, BM3D most of all
    python -m benchmarks.quality EVAL_FOLDER --rows models --strips --cards what new weights change
    python -m benchmarks.quality EVAL_FOLDER --sets fmd --rows noisy BM3D --every 3
    python -m benchmarks.quality --render                           the page's tables, from the JSON file
    python -m benchmarks.quality --check                            whether page, cards and JSON file agree

Rows are chosen by name, or by group: ``models``, ``filters`` (all others). What a run does not measure keeps its
figures. A row whose package is not installed is left out.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks.quality import cards, enlarging, goals, page
from benchmarks.quality.baselines import Denoiser, baselines, bundled_denoisers, denoiser_otherwise
from benchmarks.quality.records import Records
from benchmarks.quality.scores import Scores, noise_alone, score, tile_borders
from benchmarks.quality.sets import SETS, Pair
from benchmarks.quality.strips import draw_strips
from napari_restore import api

DOCS = Path(__file__).parents[2] / "docs"
ENLARGED = {
    f"x{scale}{end}": (scale, noise) for scale in (2, 4) for end, noise in (("", 0.0), ("-noise", enlarging.NOISE))
}
COLUMNS = {"denoising": tuple(field.name for field in fields(Scores)), "super-resolution": enlarging.COLUMNS}
COLOUR = ("rgb", "stained", "set5-25")
"""The sets that colour models are run on; on gray images they see three equal samples."""

Run = TypeVar("Run")


def chosen(names: list[str], models: Mapping[str, Run], others: Mapping[str, Run]) -> dict[str, Run]:
    groups = {"models": models, "filters": others, "all": {**others, **models}}
    result: dict[str, Run] = {}
    for name in names:
        result |= groups[name] if name in groups else {key: run for key, run in groups["all"].items() if key == name}
    return result


def models_for(group: str) -> dict[str, Denoiser]:
    """Those of the package; the default one without tiles and stabilised as well on the larger gray sets."""
    return bundled_denoisers() | (denoiser_otherwise() if group in goals.SEAMS else {})


def filters_for(group: str) -> dict[str, Denoiser]:
    """All of them; for the photographs only the noisy images: the papers' own figures stand beside ours."""
    return {name: run for name, run in baselines().items() if name == "noisy" or not group.startswith("set")}


def denoise_set(records: Records, group: str, pairs: Iterable[Pair], rows: Mapping[str, Denoiser]) -> None:
    models = bundled_denoisers()
    for pair in pairs:
        records.add(group, "reference", pair.name, noise_alone(pair).rounded())
        for name, denoise in rows.items():
            if group not in COLOUR and name in models and api.model_card(name).in_channels == 3:
                continue
            # Filters have no tiles: what they show where the default model's would meet is the planes' own.
            borders = tile_borders(name if name in models else api.DENOISER, pair)
            began = time.process_time()
            result = np.asarray(denoise(pair.noisy), np.float64)
            scores = score(pair, result, time.process_time() - began, borders)
            records.add(group, name, pair.name, scores.rounded())
            print(f"{group:10} {pair.name:28} {name:34} {scores.psnr:6.2f} dB  {scores.seconds:7.1f} s", flush=True)
        records.save()


def enlarge_set(
    records: Records, group: str, folder: Path, rows: Mapping[str, enlarging.Enlarger], every: int, only: str
) -> None:
    scale, noise = ENLARGED[group]
    images = [image for image in enlarging.small_images(folder, scale, noise) if only in image[0]][::every]
    for name, truth, small, seen in images:
        for row, enlarge in rows.items():
            figures = enlarging.score_enlarged(enlarge, truth, small, seen, scale)
            records.add(group, row, name, list(figures))
            print(f"{group:10} {name:28} {row:34} {figures[0]:6.2f} dB  {figures[-1]:7.1f} s", flush=True)
        records.save()


def measure(records: Records, arguments: argparse.Namespace) -> None:
    records.columns = COLUMNS
    records.drop_outdated()
    for group in arguments.sets:
        if group in ENLARGED:
            others, models = enlarging.enlargers(ENLARGED[group][0])
            rows = chosen(arguments.rows, models, others)
            enlarge_set(records, group, arguments.folder, rows, arguments.every, arguments.images)
        else:
            denoisers = chosen(arguments.rows, models_for(group), filters_for(group))
            pairs = [pair for pair in SETS[group](arguments.folder) if arguments.images in pair.name]
            denoise_set(records, group, pairs[:: arguments.every], denoisers)
            if not pairs:
                print(f"{group}: no images below {arguments.folder}; its figures stay as they are")
    records.save()


def main() -> int:
    how = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m benchmarks.quality", description=__doc__, formatter_class=how)
    parser.add_argument("folder", type=Path, nargs="?", help="the evaluation images; without them nothing is measured")
    parser.add_argument("--sets", nargs="+", choices=[*SETS, *ENLARGED], default=[*SETS, *ENLARGED])
    parser.add_argument("--rows", nargs="+", default=["all"], help="names of rows, or models, filters, all")
    parser.add_argument("--every", type=int, default=1, help="one image of so many")
    parser.add_argument("--images", default="", help="only images whose name has this in it")
    parser.add_argument("--json", type=Path, default=DOCS / "quality.json")
    parser.add_argument("--page", type=Path, default=DOCS / "quality.md")
    parser.add_argument("--strips", action="store_true", help="draw the pictures of the page anew")
    parser.add_argument("--render", action="store_true", help="write the page's tables from the JSON file")
    parser.add_argument("--cards", action="store_true", help="write mean scores into the cards of the bundled models")
    parser.add_argument("--check", action="store_true", help="exit with 1 if page, cards and JSON file do not agree")
    arguments = parser.parse_args()
    records = Records(arguments.json)
    if arguments.folder is not None and not (arguments.strips and arguments.rows == ["none"]):
        measure(records, arguments)
        print(page.as_text(records))
    if arguments.folder is not None and arguments.strips:
        draw_strips(arguments.folder, records, DOCS / "images")
    if arguments.check:
        wrong = page.disagreements(records, arguments.page) + cards.disagreements(records)
        print("\n".join(wrong) or f"{arguments.page.name}, {records.path.name} and the models' cards agree")
        return int(bool(wrong))
    if arguments.folder is not None or arguments.render:
        page.render(records, arguments.page)
    if arguments.cards:
        cards.write(records)
    return 0


if __name__ == "__main__":
    sys.exit(main())
