"""The denoiser: its conditions, its forms, and one training step of each."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import smoke
from facenhance_jax import settings
from facenhance_jax.diffusion import formulas
from facenhance_jax.network.denoiser_config import DenoiserConfig, UNetConfig
from facenhance_jax.network.pixels import depth_to_space, to_signal
from facenhance_jax.training import experiment

PLACES = np.array([[8, 8, 16, 0], [6, 9, 20, 7]], np.float32)


def config_of(**model):
    config = smoke.get_config()
    if model.get("prediction", "velocity") != "velocity" or model.get("target", "residual") != "residual":
        config.model.warp_low = False
    if model.get("prediction") == "x_prev":
        config.sampling.steps = config.schedule.timesteps
    config.model.update(model)
    config.train.warmup_steps = 0
    return config


def denoiser_of(**model):
    return settings.read_model(config_of(**model)).denoiser()


def random_batch(size=2, seed=0):
    rng = np.random.default_rng(seed)
    sides = dict(high=32, previous=32, identity=32, low=16)
    images = {name: rng.integers(0, 256, (size, side, side, 3), dtype=np.uint8) for name, side in sides.items()}
    return images | {"place": PLACES[:size], "index": np.arange(size, dtype=np.int32)}


def velocity_of(denoiser, params, batch, timestep):
    images = {name: to_signal(pixels) for name, pixels in batch.items() if pixels.dtype == np.uint8}
    expression = denoiser.encode(params, images["low"], images["identity"], jnp.asarray(batch["place"]))
    conditions = denoiser.conditions(params, images["identity"], images["previous"], expression)
    return denoiser.velocity(params, images["high"], jnp.full(len(batch["high"]), timestep), conditions)


@pytest.fixture(scope="module")
def after_one_step():
    """Gives (denoiser, parameters, velocity function) of a model's config after one training step; makes each once."""

    @functools.cache
    def train(**model):
        denoiser, one = denoiser_of(**model), experiment.make(settings.read(config_of(**model)))
        state, _ = jax.jit(one.step)(one.initial_state(), random_batch())
        return denoiser, state.params, jax.jit(functools.partial(velocity_of, denoiser))

    return train


@pytest.mark.parametrize(
    "model", [dict(expression="encoder"), dict(expression="concat"), dict(expression="both", previous="clean")], ids=str
)
@pytest.mark.parametrize("condition", ["low", "identity", "previous"])
def test_every_condition_reaches_the_output_after_one_training_step(after_one_step, model, condition):
    _, params, velocity = after_one_step(**model)
    batch = random_batch(seed=1)
    changed = batch | {condition: 255 - batch[condition]}
    assert float(jnp.abs(velocity(params, batch, 500) - velocity(params, changed, 500)).max()) > 1e-5


def test_with_previous_none_the_previous_frame_makes_no_difference(after_one_step):
    denoiser, params, velocity = after_one_step(previous="none", expression="encoder")
    batch = random_batch(seed=1)
    changed = batch | {"previous": 255 - batch["previous"]}
    np.testing.assert_array_equal(velocity(params, batch, 500), velocity(params, changed, 500))
    assert denoiser.config.in_channels == 6


def test_the_timestep_reaches_the_output(after_one_step):
    _, _, velocity = after_one_step()
    # The timestep enters before the residual blocks' last convolutions, which are still zero after one step: so three.
    one = experiment.make(settings.read(config_of()))
    step, state = jax.jit(one.step), one.initial_state()
    for seed in range(3):
        state, _ = step(state, random_batch(seed=seed))
    batch = random_batch(seed=1)
    difference = velocity(state.params, batch, 1) - velocity(state.params, batch, 900)
    assert float(jnp.abs(difference).max()) > 1e-6


def test_input_channels_are_nine_in_the_paper_and_change_with_the_ablations():
    assert DenoiserConfig().in_channels == 9
    assert DenoiserConfig(expression="concat").in_channels == 12
    assert DenoiserConfig(expression="both").in_channels == 12
    assert DenoiserConfig(expression="concat").token_width == 0
    assert DenoiserConfig(previous="none").in_channels == 6


def test_with_x_prev_a_step_of_the_velocity_gives_the_networks_output():
    """At initialisation it outputs zero, so v = cot(delta) x_t, and a step by delta gives exactly zero."""
    denoiser = denoiser_of(prediction="x_prev", target="frame", gate_std=0.0)
    batch = random_batch()
    velocity = velocity_of(denoiser, denoiser.init(0), batch, 400)
    stepped = formulas.step(to_signal(batch["high"]), velocity, float(denoiser.schedule.delta[400]))
    np.testing.assert_allclose(stepped, 0.0, atol=1e-5)


def test_the_gate_lets_each_pixels_own_guess_through():
    """A network that outputs nothing but an open gate gives the ideal velocity of pixels of that standard deviation."""
    denoiser = denoiser_of(gate_std=0.3)
    params = denoiser.init(0)
    bias = np.zeros((2, 2, 4), np.float32)  # a 2x2 patch of three colours and a gate
    bias[..., 3] = 1.0
    params["unet"]["exit"]["bias"] = jnp.asarray(bias.ravel())
    batch = random_batch()
    expected = formulas.gaussian_gain(denoiser.schedule.phi[600], 0.3) * to_signal(batch["high"])
    np.testing.assert_allclose(velocity_of(denoiser, params, batch, 600), expected, atol=1e-5)


def test_the_residual_is_undone():
    denoiser = denoiser_of(residual_scale=12.0)
    frame, photo = to_signal(random_batch()["high"]), to_signal(random_batch()["identity"])
    target = denoiser.to_target(frame, photo)
    np.testing.assert_allclose(target, 12 * (frame - photo), atol=1e-6)
    np.testing.assert_allclose(denoiser.to_frame(target, photo), frame, atol=1e-6)


def test_the_frame_target_is_the_frame():
    denoiser = denoiser_of(target="frame")
    frame, photo = to_signal(random_batch()["high"]), to_signal(random_batch()["identity"])
    assert denoiser.to_target(frame, photo) is frame and denoiser.to_frame(frame, photo) is frame


PHOTO = jnp.zeros((1, 32, 32, 3))


def test_the_expression_of_concat_is_the_frame_enlarged():
    denoiser = denoiser_of(expression="concat", place_low=False)
    low = jnp.broadcast_to(jnp.linspace(-1, 1, 16)[None, None, :, None], (1, 16, 16, 3))
    expression = denoiser.encode({}, low, PHOTO)
    assert expression.tokens is None
    assert expression.image.shape == (1, 32, 32, 3)
    # Bilinear with half-pixel centres reproduces a ramp exactly, away from the edges.
    np.testing.assert_allclose(jnp.diff(expression.image[0, 0, 1:-1, 0]), 1 / 15, atol=1e-6)


def test_the_low_res_frame_is_laid_on_its_square():
    denoiser = denoiser_of(expression="concat", place_low=True)
    places = jnp.array([[4.0, 10.0, 20.0, 0.0], [0.0, 0.0, 32.0, 0.0]])
    image = denoiser.encode({}, jnp.ones((2, 16, 16, 3)), jnp.zeros((2, 32, 32, 3)), places).image
    expected = np.full((2, 32, 32, 3), -1.0)
    expected[0, 10:30, 4:24] = expected[1] = 1.0
    np.testing.assert_array_equal(image, expected)


def test_both_gives_the_encoders_tokens_and_the_concats_image():
    both, encoder, concat = (denoiser_of(expression=how) for how in ("both", "encoder", "concat"))
    params, low, place = both.init(0), to_signal(random_batch()["low"]), jnp.asarray(PLACES)
    photo = to_signal(random_batch()["identity"])
    expression = both.encode(params, low, photo, place)
    np.testing.assert_array_equal(expression.tokens, encoder.encode(params, low, photo, place).tokens)
    np.testing.assert_array_equal(expression.image, concat.encode(params, low, photo, place).image)


def test_the_warped_low_res_frame_is_a_guess_of_the_frame():
    """With a share of 1 and a shift of 3 pixels, the guess at timestep T is the low-res frame, shifted by 3 pixels."""
    denoiser = denoiser_of(warp_low=True, gate_std=0.0, place_low=True)
    params = denoiser.init(0)
    extra = params["unet"]["extra"]
    bias = np.zeros(extra["bias"].shape, np.float32)
    for channel in range(3):  # share, shift to the right, shift down
        unit = depth_to_space(jnp.asarray(np.eye(bias.size, dtype=np.float32)).reshape(bias.size, 1, 1, -1), 2)
        owners = np.asarray(unit.sum((1, 2)))[:, channel] > 0
        bias[owners] = (10.0, 3.0, 0.0)[channel]
    params = params | {"unet": params["unet"] | {"extra": extra | {"bias": jnp.asarray(bias)}}}
    rng = np.random.default_rng(0)
    low = jnp.asarray(rng.uniform(-1, 1, (1, 16, 16, 3)), jnp.float32)
    photo = jnp.asarray(rng.uniform(-1, 1, (1, 32, 32, 3)), jnp.float32)
    expression = denoiser.encode(params, low, photo, jnp.array([[8.0, 8.0, 16.0, 0.0]]))  # pixel for pixel
    conditions = denoiser.conditions(params, photo, photo, expression)
    velocity = denoiser.velocity(params, jnp.zeros_like(photo), jnp.array([1000]), conditions)
    frame = denoiser.to_frame(-velocity / float(np.sin(denoiser.schedule.phi[1000])), photo)
    np.testing.assert_allclose(frame[:, 8:24, 8:21], low[:, :, 3:], atol=1e-4)  # shifted by three pixels


def test_z_given_apart_is_the_noise_in_the_previous_frame():
    denoiser, batch = denoiser_of(previous="noisy"), random_batch()
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda x: x + 0.05 * rng.standard_normal(x.shape, np.float32), denoiser.init(0))
    z = jnp.asarray(rng.standard_normal((2, 32, 32, 3)), jnp.float32)
    images = {name: to_signal(pixels) for name, pixels in batch.items() if pixels.dtype == np.uint8}

    @functools.partial(jax.jit, static_argnames="apart")
    def velocity(z, apart):
        expression = denoiser.encode(params, images["low"], images["identity"], jnp.asarray(batch["place"]))
        previous = images["previous"] if apart else denoiser.noised_previous(images["previous"], z)
        conditions = denoiser.conditions(params, images["identity"], previous, expression)
        return denoiser.velocity(params, images["high"], jnp.array([3, 900]), conditions, z if apart else None)

    apart, within = velocity(z, apart=True), velocity(z, apart=False)
    assert float(jnp.abs(velocity(jnp.zeros_like(z), apart=True) - apart).max()) > 1e-2
    np.testing.assert_allclose(apart, within, atol=1e-5 * float(jnp.abs(within).max()))


def test_what_the_blocks_take_of_the_timesteps_can_be_made_ahead():
    """For two timesteps at once, each for both clips: the same velocity as where each call makes its own."""
    denoiser, images = denoiser_of(), {name: to_signal(x) for name, x in random_batch().items() if x.dtype == np.uint8}
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda x: x + 0.05 * rng.standard_normal(x.shape, np.float32), denoiser.init(0))

    @jax.jit
    def velocities():
        expression = denoiser.encode(params, images["low"], images["identity"], jnp.asarray(PLACES))
        conditions = denoiser.conditions(params, images["identity"], images["previous"], expression)
        ahead = denoiser.modulations(params, jnp.array([3, 900]))
        return [
            denoiser.velocity(params, images["high"], jnp.full(2, timestep), conditions, modulations=given)
            for row, timestep in enumerate([3, 900])
            for given in (None, tuple(of_steps[row : row + 1] for of_steps in ahead))
        ]

    early, early_ahead, late, late_ahead = velocities()
    np.testing.assert_allclose(early_ahead, early, atol=1e-5 * float(jnp.abs(early).max()))
    np.testing.assert_allclose(late_ahead, late, atol=1e-5 * float(jnp.abs(late).max()))
    assert float(jnp.abs(early - late).max()) > 1e-2


def test_deltas_keep_their_digits_on_the_device():
    denoiser = denoiser_of()
    timesteps = jnp.array([1, 2, 500, 1000])
    np.testing.assert_allclose(denoiser.delta(timesteps), denoiser.schedule.delta[timesteps], rtol=1e-7)


@pytest.mark.parametrize(
    "bad, message",
    [
        (dict(expression="none"), "expression must be one of encoder, concat, both, not 'none'"),
        (dict(previous="no"), "previous must be one of"),
        (dict(prediction="noise"), "prediction must be one of"),
        (dict(target="x"), "target must be one of"),
        (dict(dtype="float16"), "dtype must be one of"),
        (dict(warp_low=True), "warp_low needs prediction=velocity and target=residual"),
        (dict(gate_std=0.2), "gate_std must be 0, or positive with prediction=velocity"),
        (dict(residual_scale=0.0), "residual_scale must be positive"),
        (dict(expression_channels=(30,)), "must be multiples of 32"),
        (dict(low_size=60), "must be multiples of 32, and low_size 60"),
        (dict(resolution=100), "resolution 100 must be a multiple of patch x 2.* = 32"),
        (dict(unet=UNetConfig(patch=7)), "resolution 192 must be a multiple of patch x 2.* = 224"),
    ],
)
def test_an_impossible_config_is_refused(bad, message):
    with pytest.raises(ValueError, match=message):
        DenoiserConfig(**bad)
