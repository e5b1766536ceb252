from __future__ import annotations

import torch
import torch.nn.functional as F

from napari_restore.adapting.choosing import Choice
from napari_restore.adapting.self_supervision import Batch, Pairs, make_pairs


def batch(side: int = 32, count: int = 64, partner: bool = False) -> Batch:
    draw = torch.Generator().manual_seed(0)
    pixels = torch.randn(count, 1, side, side, generator=draw)
    other = torch.randn(count, 1, side, side, generator=draw) if partner else None
    return Batch(pixels, torch.ones_like(pixels), torch.ones_like(pixels), other)


def pairs(given: Batch, choice: Choice) -> Pairs:
    return make_pairs(given, choice, torch.Generator().manual_seed(1))


def test_recorrupted_noise_of_input_and_target_is_independent() -> None:
    given = batch()
    made = pairs(given, Choice("r2r"))
    assert abs(float(made.source.var()) - 1.04) < 0.03 and abs(float(made.target.var()) - 26) < 0.4
    covariance = float((made.source * made.target).mean())
    assert abs(covariance) < 0.1  # 1 if nothing was added
    assert made.source.shape == made.weights.shape == (128, 1, 32, 32) and made.plain is not None
    # Both signs of a draw: their means are the image itself.
    torch.testing.assert_close((made.source[:64] + made.source[64:]) / 2, given.pixels, atol=1e-5, rtol=0)


def test_recorrupted_lines_have_the_offsets_of_lines() -> None:
    for lines, axis in (("X", -1), ("Y", -2)):
        given = batch()
        given = Batch(given.pixels, given.there, given.variance, None, torch.tensor([[4.0, 9.0]]).repeat(64, 1))
        made = pairs(given, Choice("r2r", lines=lines))  # type: ignore[arg-type]
        added = (made.source[:64] - given.pixels) / 0.2
        expected = 4.0 if lines == "X" else 9.0
        assert abs(float(added.mean(axis).var()) - expected) < 0.1 * expected
        assert abs(float(added.var()) - expected - 1) < 0.1 * expected
        torch.testing.assert_close(made.target[:64], given.pixels - 5 * added, atol=1e-3, rtol=0)
        assert float(made.scale.mean()) == expected + 1


def test_an_average_of_planes_stays_the_input() -> None:
    given = batch(partner=True)
    swapped = pairs(given, Choice("noise2noise"))
    assert 0.2 < float((swapped.source == given.pixels).float().mean()) < 0.8
    made = pairs(given, Choice("noise2noise", averaged=True))
    assert torch.equal(made.source, given.pixels) and torch.equal(made.target, given.partner)


def test_correlated_noise_agrees_with_itself() -> None:
    given = batch(partner=True)
    blurred = [F.avg_pool2d(one, 3, 1, 1) * 3 for one in (given.pixels, given.partner)]
    given = Batch(blurred[0], given.there, given.variance, blurred[1])
    shares = [
        float(pairs(given, Choice("noise2noise", correlation=rho)).weights.mean()) for rho in ((0.0, 0.0), (0.6, 0.6))
    ]
    assert shares[0] < 0.9 and shares[1] > 0.97


def test_hidden_pixels_have_no_part_in_the_input() -> None:
    given = batch()
    made = pairs(given, Choice("noise2void", reach=(0, 2)))
    assert 0.005 < float(made.weights.mean()) < 0.02
    rows = made.weights > 0
    for step in (0, 1, 2):  # along X the input differs at the pixel itself and up to the reach beside it
        hidden = rows[..., : rows.shape[-1] - step]
        same = (made.source == given.pixels)[..., step:][hidden]
        assert float(same.float().mean()) < 0.1
    assert float((made.source == given.pixels).float().mean()) > 0.9
    assert torch.equal(made.target, given.pixels)


def test_hidden_lines_are_hidden_whole() -> None:
    for lines, axis in (("X", -1), ("Y", -2)):
        given = batch()
        made = pairs(given, Choice("noise2void", lines=lines))  # type: ignore[arg-type]
        assert torch.equal(made.weights.amax(axis), made.weights.amin(axis))  # whole lines
        assert not (made.source == given.pixels)[made.weights > 0].any()
        assert (made.source == given.pixels)[made.weights == 0].all()


def test_missing_pixels_have_no_weight() -> None:
    given = batch(partner=True)
    there = given.there.clone()
    there[..., :16] = 0
    given = Batch(given.pixels, there, given.variance, given.partner)
    for method in ("r2r", "noise2void", "noise2noise"):
        weights = pairs(given, Choice(method)).weights  # type: ignore[arg-type]
        assert float(weights[..., :16].sum()) == 0 and float(weights[..., 16:].sum()) > 0


def test_planes_that_differ_are_no_pair() -> None:
    given = batch(partner=True)
    assert given.partner is not None
    given.partner[:, :, 8:24, 8:24] += 8
    made = pairs(given, Choice("noise2noise"))
    assert float(made.weights[:, :, 10:22, 10:22].sum()) == 0 and float(made.weights[:, :, :, :4].mean()) > 0.9
    assert abs(float(made.loss(torch.zeros_like(made.source))) - 1) < 0.05
