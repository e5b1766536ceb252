"""Numbers, shapes and plans in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_restore.engine.plan import Plan

__all__ = ["counted", "described", "human_bytes", "human_shape"]


def counted(count: int, thing: str) -> str:
    """Write how many there are, such as ``"1 lane"`` and ``"2 lanes"``."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def human_bytes(count: float) -> str:
    """Write a number of bytes with a unit, such as ``"7.5 GB"``."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError


def human_shape(axes: str, shape: tuple[int, ...]) -> str:
    """Write a shape with its axes, such as ``"Z 40 · Y 2048 · X 2048"``."""
    return " · ".join(f"{axis} {length}" for axis, length in zip(axes, shape, strict=True))


def _times(lengths: tuple[int, ...]) -> str:
    return " x ".join(map(str, lengths))


def _channels(plan: Plan) -> str:
    """How the image's channels become the network's."""
    if plan.repeats > 1:
        return f"gray, {plan.repeats} times over; the mean of what comes back"
    samples = plan.image.sizes.get("S", 1)
    if plan.card.in_channels == 1:
        return "each on its own" + (f", and each of {samples} colour samples" if samples > 1 else "")
    return f"{samples} colour samples together"


def _values(plan: Plan) -> str:
    """How values are brought to the network's."""
    recipe = plan.recipe
    if recipe.value_range is None:
        return "estimated when first computed"
    shown = ", ".join(f"{low:g}..{high:g}" for low, high in recipe.value_range)
    if recipe.noise is None or recipe.intensity != "poisson-gaussian":
        return f"{shown} become 0..1 ({recipe.intensity})"
    cameras = "; ".join(
        f"gain {gain:.3g}, noise {sigma:.3g} at its darkest level {dark:.4g}" for gain, dark, sigma in recipe.noise
    )
    level = f"to {100 * plan.card.sigma:.2g} % of the range" if plan.card.sigma else f"with {shown} in 0..1"
    return f"{cameras}: noise stabilised, {level} (poisson-gaussian)"


def described(plan: Plan) -> str:
    """One line for each thing the run will use, with units."""
    recipe, image, card = plan.recipe, plan.image, plan.card
    pixel = ", ".join(f"{a} {image.pixel_size[a]:g} {image.units.get(a, '')}".rstrip() for a in image.pixel_size)
    tile_y, tile_x = plan.grid.tile_shape
    rows = {
        "source": f"{image.name}: {human_shape(image.canonical, image.shape)}, {image.dtype}, "
        f"{human_bytes(image.nbytes)}",
        "pixel size": pixel or "unknown",
        "model": card.summary(),
        "values": _values(plan),
        "channels": _channels(plan),
        "tiles": f"{tile_y} x {tile_x}, halo {recipe.halo}, hand-over {recipe.blend}; {plan.tiles} in all, "
        f"{plan.tile_share:.2f} times the pixels of the image"
        + (", padded as the authors do" if recipe.padding == "authors" else ""),
        "result": f"{human_shape(plan.axes, plan.shape)}, {plan.dtype}, {human_bytes(plan.output_bytes)} uncompressed, "
        f"{counted(plan.levels, 'level')}",
        "blocks": f"{plan.blocks} of {_times(plan.block)}, chunks {_times(recipe.chunks or ())}",
        "device": f"{recipe.device}, {recipe.precision}, {'compiled first, ' if recipe.compiled else ''}"
        f"batch {recipe.batch}, {recipe.workers} blocks in progress",
        "memory": f"at most {human_bytes(plan.memory_bytes)}"
        + (f" of {human_bytes(recipe.memory_budget)}" if recipe.memory_budget else ""),
    }
    return "\n".join(f"{name:<11}{value}{_because(plan, name)}" for name, value in rows.items())


def _because(plan: Plan, name: str) -> str:
    return f" ({plan.why[name]})" if plan.why.get(name) else ""
