"""The frames that a strip shows."""

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
