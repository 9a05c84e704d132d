"""tests/kill_and_resume.py with two kills."""

import jax
import numpy as np
from kill_and_resume import differences, final_state, kill_and_resume, smallest

from facenhance_jax.runs import checkpoints


def test_killed_twice_it_ends_with_the_same_bits(tmp_path):
    assert kill_and_resume(tmp_path, times=2, steps=20, seed=1) == []
    # The comparison also finds a single wrong bit, and a step that is missing from the log.
    config = smallest(tmp_path / "data", run__steps=20)
    state = jax.tree.map(np.array, final_state(tmp_path / "killed", config))
    name, leaf = next((name, leaf) for name, leaf in jax.tree_util.tree_leaves_with_path(state.ema))
    leaf.view(np.uint32).reshape(-1)[0] ^= 1
    with checkpoints.RunCheckpoints(tmp_path / "killed/checkpoints") as saves:
        saves.save(21, state)
    log = tmp_path / "killed/metrics.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
    found = differences(tmp_path / "straight", tmp_path / "killed", config)
    assert found == [f".ema{jax.tree_util.keystr(name)}", "metrics.jsonl"]
