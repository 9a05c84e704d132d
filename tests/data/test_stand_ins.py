"""Drawn stand-ins of four systems: each layout is read back bit for bit, and the reader knows that they are drawn."""

import numpy as np
import pytest
from stand_ins import SYSTEMS, stand_in, write_stand_ins

from facenhance_jax.data.generated import are_stand_ins, read_generated
from facenhance_jax.data.layout import EXPRESSIONS
from facenhance_jax.data.synthetic import population
from facenhance_jax.faces import alignment

SUBJECTS, FRAMES, SIZE, SEED = (7, 3), 2, 64, 5


@pytest.fixture(scope="module")
def lows() -> dict[tuple[int, str], np.ndarray]:
    """v_low of the first half of take 0 of every subject, made from the drawn clip itself."""
    made = {}
    for subject in SUBJECTS:
        for expression in EXPRESSIONS:
            clip = population.draw_clip(population.draw_subject(0, subject), expression, 0, 2 * FRAMES, SIZE)
            made[subject, expression] = np.stack(
                [alignment.low_frame(*pair) for pair in zip(*clip, strict=True)][:FRAMES]
            )
    return made


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_is_written_is_read_back_bit_for_bit(tmp_path, lows, system):
    write_stand_ins(tmp_path / "out", system, SUBJECTS, FRAMES, SEED, SIZE)
    read = {clip.name: clip.frames() for clip in read_generated(tmp_path / "out", system)}
    assert list(read) == [f"{subject:03d}/{expression}" for subject in (3, 7) for expression in EXPRESSIONS]
    for subject, other in ((7, 3), (3, 7)):
        for code, expression in enumerate(EXPRESSIONS):
            low, alien = lows[subject, expression], lows[other, expression]
            expected = stand_in(system, low, alien, SEED, 6 * subject + code)
            np.testing.assert_array_equal(read[f"{subject:03d}/{expression}"], expected)
    assert are_stand_ins(tmp_path / "out") and not are_stand_ins(tmp_path)
