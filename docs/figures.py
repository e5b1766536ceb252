"""Draw the figures of the pages, from the code that they show: ``python docs/figures.py``.

It writes SVG files to docs/images. Depths, features, heads and sizes are read from the bundled networks, positions of
tiles and weights from `napari_restore.tiling`, noise from `napari_restore.intensity`. `tests/house/test_pages.py`
checks that the files are up to date.
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import numpy as np

from napari_restore import api
from napari_restore.intensity.stabilise import CameraNoise
from napari_restore.models.architecture import build
from napari_restore.tiling.grid import AxisTiling

IMAGES = Path(__file__).parent / "images"
INK, PAPER, LINE = "#1f2933", "#ffffff", "#7b8794"
BLUE, GREEN, ORANGE, RED = "#d6e6fb", "#d5f0e1", "#fde8c8", "#f9d3d0"


class Drawing:
    """An SVG file in the making; positions and sizes are in pixels."""

    def __init__(self, width: float, height: float, title: str) -> None:
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
            f'font-family="DejaVu Sans, Verdana, sans-serif" font-size="12" fill="{INK}" role="img">',
            f"<title>{html.escape(title)}</title>",
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
            f'orient="auto"><path d="M0 0 L8 4 L0 8 z" fill="{LINE}"/></marker></defs>',
            f'<rect width="{width:g}" height="{height:g}" fill="{PAPER}"/>',
        ]

    def box(self, x: float, y: float, width: float, height: float, fill: str, *lines: str) -> None:
        """Draw a box with lines of text in its middle."""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5" fill="{fill}" stroke="{LINE}"/>'
        )
        for index, line in enumerate(lines):
            self.text(x + width / 2, y + height / 2 + 15 * (index - (len(lines) - 1) / 2) + 4, line)

    def text(self, x: float, y: float, line: str, *, anchor: str = "middle", size: int = 12) -> None:
        """Draw a line of text."""
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size}">{html.escape(line)}</text>'
        )

    def path(
        self, points: Any, *, head: bool = True, dashed: bool = False, colour: str = LINE, width: float = 1.5
    ) -> None:
        """Draw straight lines through points, with a head at the end for an arrow."""
        steps = " L".join(f"{x:.4g} {y:.4g}" for x, y in points)
        style = ' marker-end="url(#head)"' * head + ' stroke-dasharray="5 4"' * dashed
        self.parts.append(f'<path d="M{steps}" fill="none" stroke="{colour}" stroke-width="{width:g}"{style}/>')

    def svg(self) -> str:
        """Return the text of the file."""
        return "\n".join([*self.parts, "</svg>\n"])


def restormer() -> str:
    """Draw the encoder and decoder of the bundled Restormer."""
    network: Any = build("restormer", api.model_card(api.DENOISER).hyperparameters)
    encoder = [network.encoder_level1, network.encoder_level2, network.encoder_level3, network.latent]
    decoder = [network.decoder_level1, network.decoder_level2, network.decoder_level3]

    def lines(stage: Any) -> tuple[str, str]:
        attention = stage[0].attn
        return (
            f"{len(stage)} blocks",
            f"{attention.qkv.in_channels} features, {attention.heads} head{'s' * (attention.heads > 1)}",
        )

    drawing = Drawing(860, 420, "Restormer: four levels of an encoder and a decoder")
    drawing.text(430, 24, f"Restormer, as bundled ({api.DENOISER})", size=14)
    rows = [60, 150, 240, 330]
    width, height = 178, 50
    left, right = [120, 160, 200, 341], [400, 440, 480]
    for level, stage in enumerate(encoder):
        x = left[level]
        drawing.box(x, rows[level], width, height, ORANGE if level == 3 else BLUE, *lines(stage))
        size = "h × w" if level == 0 else f"h/{2**level} × w/{2**level}"
        drawing.text(8, rows[level] + 30, size, anchor="start")
        if level < 3:
            middle, below = x + width / 2, left[level + 1] + width / 2
            turn = rows[level + 1] - 18
            drawing.path([(middle, rows[level] + height), (middle, turn), (below, turn), (below, rows[level + 1])])
            drawing.path([(x + width, rows[level] + 25), (right[level], rows[level] + 25)], dashed=True)
    for level, stage in enumerate(decoder):
        x = right[level]
        drawing.box(x, rows[level], width, height, GREEN, *lines(stage))
        from_x = (left[3] if level == 2 else right[level + 1]) + width * (0.75 if level == 2 else 0.5)
        turn, middle = rows[level] + height + 22, x + width / 2
        drawing.path([(from_x, rows[level + 1]), (from_x, turn), (middle, turn), (middle, rows[level] + height)])
    refine = network.refinement
    drawing.box(610, 60, 128, 50, GREEN, "refinement", f"{len(refine)} blocks")
    drawing.path([(right[0] + width, 85), (610, 85)])
    drawing.path([(56, 85), (120, 85)])
    drawing.text(54, 76, "image", anchor="start", size=11)
    drawing.path([(738, 85), (800, 85)])
    drawing.box(800, 70, 28, 30, PAPER, "+")
    drawing.path([(88, 85), (88, 46), (814, 46), (814, 70)], dashed=True)
    drawing.path([(828, 85), (856, 85)])
    for index, line in enumerate(
        (
            "In every block, features attend to features, with",
            "weights summed over all pixels of the tile. Dashed:",
            "features are kept for the decoder (at the top both",
            "are kept), and the image is added at the end.",
        )
    ):
        drawing.text(560, 359 + 16 * index, line, anchor="start", size=11)
    return drawing.svg()


def swinir() -> str:
    """Draw the bundled SwinIR for twice the size."""
    card = api.model_card(api.UPSCALERS[2])
    network: Any = build("swinir", card.hyperparameters)
    blocks = [layer.residual_group.blocks for layer in network.layers]
    features, heads = network.conv_first.out_channels, blocks[0][0].attn.heads
    drawing = Drawing(860, 290, "SwinIR: residual blocks of window attention")
    drawing.text(430, 24, f"SwinIR, as bundled ({card.name})", size=14)
    drawing.text(12, 92, "image", anchor="start", size=11)
    drawing.path([(12, 100), (66, 100)])
    drawing.box(66, 72, 90, 56, BLUE, "3 × 3 conv.", f"{features} features")
    step = 470 / len(blocks)
    for index, layers in enumerate(blocks):
        x = 186 + index * step
        drawing.path([(x - 30 if index == 0 else x - (step - 96), 100), (x, 100)])
        drawing.box(x, 72, 96, 56, GREEN, f"block {index + 1}", f"{len(layers)} layers")
    last = 186 + (len(blocks) - 1) * step + 96
    drawing.path([(last, 100), (662, 100)])
    drawing.box(662, 86, 28, 28, PAPER, "+")
    drawing.path([(170, 100), (170, 54), (676, 54), (676, 86)], dashed=True)
    drawing.path([(690, 100), (716, 100)])
    drawing.box(716, 72, 106, 56, ORANGE, "pixel shuffle", f"×{network.scale}")
    drawing.path([(822, 100), (856, 100)])
    window = network.window
    for index, (shifted, title) in enumerate(((False, "odd layers"), (True, "even layers"))):
        x0, y0, side = 190 + index * 250, 160, 96
        drawing.text(x0 + side / 2, y0 + side + 24, f"{title}: windows of {window} × {window}", size=11)
        drawing.parts.append(f'<rect x="{x0}" y="{y0}" width="{side}" height="{side}" fill="{BLUE}" stroke="{LINE}"/>')
        for cut in range(1, 4) if not shifted else (0.5, 1.5, 2.5, 3.5):
            at = cut * side / 4
            drawing.path([(x0 + at, y0), (x0 + at, y0 + side)], head=False, width=1)
            drawing.path([(x0, y0 + at), (x0 + side, y0 + at)], head=False, width=1)
    drawing.text(575, 196, f"A pixel attends to its window, with {heads} heads.", anchor="start", size=11)
    drawing.text(575, 214, f"Every second layer shifts the windows by {window // 2}.", anchor="start", size=11)
    drawing.text(575, 232, "So a pixel depends on pixels nearby only, and", anchor="start", size=11)
    drawing.text(575, 250, "tiles with a halo equal the whole image.", anchor="start", size=11)
    return drawing.svg()


def tile_grid() -> str:
    """Draw the tiles of one axis, their weights, and two blocks."""
    axis = AxisTiling(length=900, tile=256, halo=16, blend=32, alignment=8)
    scale, x0 = 800 / axis.padded, 30.0
    drawing = Drawing(860, 330, "Tiles along one axis, their weights, and blocks of the result")
    drawing.text(
        430, 24, f"an axis of {axis.length} pixels: tiles of {axis.tile}, halo {axis.halo}, blend {axis.blend}", size=14
    )
    for k in range(axis.count):
        start, (low, high) = axis.origin(k), axis.support(k)
        y = 44 + 26 * (k % 2)
        drawing.box(x0 + start * scale, y, axis.size * scale, 20, RED)
        drawing.box(x0 + low * scale, y, (high - low) * scale, 20, BLUE, f"tile {k} from {start}")
        weights = axis.weights(k)
        points = [(x0 + (start + at + 0.5) * scale, 190 - 60 * float(weights[at])) for at in range(0, axis.size, 2)]
        drawing.path(points, head=False, colour="#1c64b4" if k % 2 else "#2f8f5b", width=2)
    drawing.text(x0, 118, "weights of the tiles; they sum to exactly 1", anchor="start", size=11)
    drawing.path([(x0, 190), (x0 + 800, 190)], head=False)
    block = 300
    for index in range(axis.length // block):
        low, high = index * block, (index + 1) * block
        tiles = axis.touching(low, high)
        drawing.box(
            x0 + low * scale, 214, block * scale, 40, ORANGE,
            f"block {index}: pixels {low} to {high - 1}", f"computes tiles {', '.join(map(str, tiles))}",
        )  # fmt: skip
    drawing.text(
        x0,
        280,
        "red: halo, which the network sees and the result does not take. The grid starts at the origin of the",
        anchor="start",
        size=11,
    )
    drawing.text(
        x0,
        297,
        "image and not of a block, so two blocks that compute the same tile compute the same pixels.",
        anchor="start",
        size=11,
    )
    return drawing.svg()


def noise_model() -> str:
    """Draw the noise of a camera, before and after it is stabilised."""
    camera = CameraNoise(gain=2.0, offset=100.0, read_noise=4.0)
    photons = np.array([0, 1, 2, 4, 8, 12, 20, 30, 45, 60, 80, 100, 125, 150, 175, 200])
    random = np.random.default_rng(0)
    drawing = Drawing(860, 330, "Noise of a camera against brightness, before and after stabilisation")
    for index, title in enumerate(("as recorded", "stabilised")):
        left, bottom, wide, high = 80 + index * 410, 270, 320, 200
        drawing.text(left + wide / 2, 40, title, size=14)
        drawing.path([(left, bottom - high), (left, bottom), (left + wide, bottom)], head=False)
        drawing.text(left + wide / 2, bottom + 34, "level (data units)")
        drawing.text(left - 40, bottom - high - 12, "standard deviation of the noise", anchor="start", size=11)
        top = 30.0 if index == 0 else 2.0
        for tick in (0.0, top / 2, top):
            drawing.text(left - 8, bottom - tick / top * high + 4, f"{tick:g}", anchor="end", size=11)
        levels = camera.offset + camera.gain * photons
        for level in (100, 300, 500):
            drawing.text(left + (level - 100) / 400 * wide, bottom + 16, f"{level}", size=11)
        for count, level in zip(photons, levels, strict=True):
            values = (
                camera.offset + camera.gain * random.poisson(count, 4000) + random.normal(0, camera.read_noise, 4000)
            )
            spread = float(np.std(camera.stabilise(values) if index else values))
            x, y = left + (level - 100) / 400 * wide, bottom - spread / top * high
            drawing.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="#1c64b4"/>')
        steps = np.linspace(100, 500, 81)
        model = np.sqrt(camera.read_noise**2 + camera.gain * (steps - camera.offset)) if index == 0 else np.ones(81)
        line = [(left + (x - 100) / 400 * wide, bottom - y / top * high) for x, y in zip(steps, model, strict=True)]
        drawing.path(line, head=False, colour="#c0392b")
    drawing.text(
        430, 320, "line: the model; dots: 4000 simulated pixels each (gain 2, offset 100, read noise 4)", size=11
    )
    return drawing.svg()


FIGURES = {
    "restormer.svg": restormer,
    "swinir.svg": swinir,
    "tile_grid.svg": tile_grid,
    "noise_model.svg": noise_model,
}


def draw() -> None:
    """Write all figures."""
    for name, figure in FIGURES.items():
        (IMAGES / name).write_text(figure(), encoding="utf-8")


if __name__ == "__main__":
    draw()
