from __future__ import annotations

from napari_restore import api


def test_a_notebook_shows_all_rows_of_a_card() -> None:
    card = api.model_card("restormer-denoise-light").model_copy(update={"title": "<b>light</b> & small"})
    shown = card._repr_html_()
    assert "&lt;b&gt;light&lt;/b&gt; &amp; small" in shown and "<b>" not in shown
    assert shown.count("<tr>") == len(card.description().splitlines())
    assert card.sha256 in shown and card.licence in shown
