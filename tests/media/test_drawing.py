"""The frames that a strip shows, and contact sheets."""

import numpy as np
import pytest

from facenhance_jax.media import drawing


@pytest.mark.parametrize(("seen", "stride"), [(3, 1), (16, 1), (17, 2), (640, 64), (1000, 64)])
def test_kept_frames_are_few_and_spread(seen, stride):
    kept = drawing.KeptFrames()
    for index in range(seen):
        kept.add((index, index))
        assert len(kept._items) <= drawing.KEPT_FRAMES
    assert [item[0] for item in kept._items] == list(range(0, seen, stride))
    shown = [item[0] for item in kept.spread(8)]
    assert len(shown) == min(seen, 8) and shown[0] == 0 and shown[-1] == kept._items[-1][0]


def test_a_contact_sheet_shows_pictures_in_rows_above_their_names():
    pictures = [(f"name {n}", np.full((30, 40, 3), 20 * n, np.uint8)) for n in range(5)]
    sheet = drawing.contact(pictures, columns=3)
    step = 30 + 2 * drawing.LETTERS + drawing.GAP
    assert sheet.shape == (2 * step + drawing.GAP, 3 * 44 + drawing.GAP, 3)
    for n in range(5):
        top, left = drawing.GAP + n // 3 * step, drawing.GAP + n % 3 * 44
        assert (sheet[top : top + 30, left : left + 40] == 20 * n).all()
        name = sheet[top + 31 : top + step - drawing.GAP, left : left + 40]
        assert (name < 100).any() and (name == 255).any()
    assert (sheet[-step:, -44:] == 255).all()  # no sixth


def test_a_contact_sheets_pictures_are_made_smaller():
    sheet = drawing.contact([("large", np.full((300, 960, 3), 90, np.uint8))], columns=1)
    assert sheet.shape[1] == 480 + 2 * drawing.GAP and (sheet[10:150, 10:480] == 90).all()
