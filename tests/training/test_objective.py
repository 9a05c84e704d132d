"""Algorithm 1's loss, and one step of training, against closed forms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import smoke
from facenhance_jax import settings
from facenhance_jax.diffusion import formulas
from facenhance_jax.diffusion.formulas import Schedule, linear_schedule
from facenhance_jax.network.denoiser import Denoiser, Expression
from facenhance_jax.network.denoiser_config import DenoiserConfig
from facenhance_jax.network.pixels import to_signal
from facenhance_jax.network.restorer import Restored
from facenhance_jax.network.straightening import Straightened, shifts_of_squares
from facenhance_jax.training import experiment, objective, train_step

SCHEDULE = linear_schedule(timesteps=50)


class Oracle(Denoiser):
    """A denoiser without parameters that outputs `factor` x_t as its velocity."""

    def encode(self, params, low, photo, place=None):
        return Expression(None, None, low, None, within=None, place=place, positions=None, restored=None)

    def conditions(self, params, identity, previous, expression):
        return None

    def velocity(self, params, noisy, timestep, conditions):
        return params["factor"] * noisy


def oracle(**fields):
    return Oracle(DenoiserConfig(resolution=32, low_size=16, **fields), SCHEDULE)


def random_batch(size=4, seed=0):
    rng = np.random.default_rng(seed)
    sides = dict(high=32, previous=32, identity=32, low=16)
    images = {name: rng.integers(0, 256, (size, side, side, 3), dtype=np.uint8) for name, side in sides.items()}
    return images | {"index": np.arange(size, dtype=np.int32)}


KEY = jax.random.key(3)


def test_the_loss_of_a_zero_velocity_is_the_velocitys_own_power():
    """E||v||^2 = cos^2 E||eps||^2 + sin^2 E||x_0||^2, which is 1 if x_0 = 1; within a percent over many pixels."""
    batch = {name: np.full_like(pixels, 255) for name, pixels in random_batch(64).items() if name != "index"}
    batch["index"] = np.arange(64)
    value, _ = objective.loss({"factor": 0.0}, batch, KEY, denoiser=oracle(target="frame"), weighting="velocity")
    assert abs(float(value) - 1.0) < 0.01


def test_the_papers_weighting_is_sin_squared_delta():
    """With a single timestep, the two weightings differ by exactly that factor."""
    denoiser = Oracle(DenoiserConfig(resolution=32, low_size=16), Schedule(np.array([0.0, 0.3])))
    by = {
        weighting: float(
            objective.loss({"factor": 0.5}, random_batch(), KEY, denoiser=denoiser, weighting=weighting)[0]
        )
        for weighting in ("velocity", "x_prev")
    }
    np.testing.assert_allclose(by["x_prev"], np.sin(0.3) ** 2 * by["velocity"], rtol=1e-6)


def test_x_prev_form_and_its_weighting_are_the_papers_mse():
    """Equation 5 written out: the network outputs zero, so the loss is the mean square of the true x_{t-1}."""
    config = smoke.get_config()
    config.model.update(prediction="x_prev", target="frame", gate_std=0.0, warp_low=False)
    config.schedule.timesteps = config.sampling.steps = 50
    denoiser = settings.read_model(config).denoiser()
    batch = random_batch()
    value, _ = objective.loss(denoiser.init(0), batch, KEY, denoiser=denoiser, weighting="x_prev")
    expected = []
    for index in range(4):
        noise, _, t = objective._draw(KEY, index, (32, 32, 3), jnp.arange(50, 0, -1))
        phi = SCHEDULE.phi[int(t) - 1]
        expected.append(((np.cos(phi) * to_signal(batch["high"][index]) + np.sin(phi) * noise) ** 2).mean())
    np.testing.assert_allclose(value, np.mean(expected), rtol=1e-5)


def test_the_sums_by_noise_level_are_the_loss():
    """Each example counts in the quarter of 1..T that its timestep is in, and the errors add up to the mean."""
    batch = random_batch(16)
    value, sums = objective.loss({"factor": 0.5}, batch, KEY, denoiser=oracle(), weighting="velocity")
    np.testing.assert_allclose(sums["level_loss"].sum() / 16, value, rtol=1e-6)
    timesteps = np.array([int(objective._draw(KEY, index, (1,), jnp.arange(50, 0, -1))[2]) for index in range(16)])
    np.testing.assert_array_equal(sums["level_count"], np.bincount((timesteps - 1) * 4 // 50, minlength=4))
    alone = {name: value[timesteps > 38] for name, value in batch.items()}
    last, _ = objective.loss({"factor": 0.5}, alone, KEY, denoiser=oracle(), weighting="velocity")
    np.testing.assert_allclose(sums["level_loss"][3] / sums["level_count"][3], last, rtol=1e-6)


def photo_moving(**model):
    config = smoke.get_config()
    config.model.update(
        resolution=32, low_size=16, warp_photo=True, warp_low=True, place_low=True, gate_std=0.2, expression="both"
    )
    config.model.update(model)
    return settings.read_model(config).denoiser()


def test_corrected_guesses_count_half():
    """The loss with corrections is the mean of the velocity's error and of the corrected guess's, from its parts."""
    denoiser, batch = photo_moving(), random_batch() | {"place": np.float32([[8, 8, 16, 0], [6, 9, 20, 7]] * 2)}
    options = dict(denoiser=denoiser, weighting="velocity", noise_levels=1)  # from pure noise: t = T
    last = jnp.array([denoiser.schedule.timesteps])

    @jax.jit
    def parts(params, batch):
        plain, corrected = (objective.loss(params, batch, KEY, corrections=n, **options)[0] for n in (0, 2))
        high, previous, photo, low = (to_signal(batch[name]) for name in ("high", "previous", "identity", "low"))
        noise, z, t = jax.vmap(lambda index: objective._draw(KEY, index, (32, 32, 3), last))(batch["index"])
        expression = denoiser.encode(params, low, photo, batch["place"])
        conditions = denoiser.conditions(params, photo, previous + z, expression)
        noisy = formulas.diffuse(denoiser.to_target(high, photo), noise, denoiser.phi(t))
        clean = formulas.clean_of(noisy, denoiser.velocity(params, noisy, t, conditions), denoiser.phi(t))
        frame = denoiser.agreeing(denoiser.to_frame(clean, photo), expression, 2)
        return plain, corrected, ((denoiser.config.residual_scale * (frame - high)) ** 2).mean()

    plain, corrected, error = parts(denoiser.init(0), batch)
    np.testing.assert_allclose(corrected, (plain + error) / 2, rtol=1e-4)
    assert abs(float(error / plain) - 1) > 0.01


def test_the_restored_error_in_closed_form():
    """The first frame has no fault, so what is made of it does not count; of both, how far it is to be taken.

    The second is half face, to be as in the clean frame, 0, and half black, to be as in the photo, 1. Between the
    straightened face, -0.5, and the restored one, 0.5, half way is best.
    """
    denoiser = photo_moving(restore_low=True)
    clean = np.zeros((2, 16, 16, 3), np.float32)
    clean[:, 8:] = -1.0
    low = clean.copy()
    low[1, :8] = 0.25
    photo, place = jnp.ones((2, 32, 32, 3)), jnp.array([[0.0, 0.0, 32.0, 0.0]] * 2)
    expression = denoiser.encode(denoiser.init(0), jnp.asarray(low), photo, place)
    straightened = expression.restored.straightened._replace(frame=jnp.stack([clean[0], clean[1] - 0.5]))
    restored = Restored(jnp.full((2, 16, 16, 3), 0.5), jnp.array([1.0, 2.0]), straightened)
    expression = expression._replace(restored=restored)
    expected = [np.log1p(np.exp(1.0)), np.log(0.25) + np.log1p(np.exp(2.0)) - 0.5 * 2.0]
    found = objective.restored_error(expression, jnp.asarray(low), jnp.asarray(clean))
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_the_straightened_error_in_closed_form():
    """The first frame is as it should be. The second lies 1 pixel to the right, and 2/3 of that are taken back.

    So the frame is nearer to what it should be than it was, and nearer than any mixture of the two.
    """
    y, x = np.indices((64, 64))

    def waves(x):
        return 0.4 * np.stack([np.sin(0.35 * x + phase) + np.sin(0.3 * y + phase) for phase in range(3)], axis=-1)

    low = jnp.asarray(np.stack([waves(x), waves(x + 1)]), jnp.float32)
    clean = jnp.stack([low[0], low[0]])
    wanted = -shifts_of_squares(clean, low)
    np.testing.assert_allclose(wanted[1, 1:-1, 1:-1], np.broadcast_to([-64 / 65, 0.0], (6, 6, 2)), atol=0.06)
    moves, logit = jnp.stack([0.3 * jnp.ones((8, 8, 2)), 2 / 3 * wanted[1]]), jnp.array([1.0, 2.0])
    restored = Restored(low, logit, Straightened(low, moves, logit))
    expression = Expression(*[None] * 7, restored)
    expected = [np.log1p(np.exp(1.0)), (wanted[1] ** 2).mean() / 9 + np.log1p(np.exp(-2.0))]
    np.testing.assert_allclose(objective.straightened_error(expression, low, clean), expected, rtol=1e-3)


def test_only_the_restorer_is_trained_if_asked_and_towards_the_frame_without_faults():
    denoiser, place = photo_moving(restore_low=True), np.float32([[8, 8, 16, 0]] * 4)
    others = {name: random_batch(seed=seed)["low"] for seed, name in ((5, "clean_low"), (6, "warped_low"))}
    batch = random_batch() | {"place": place} | others

    @jax.jit
    def gradient(params, batch):
        options = dict(denoiser=denoiser, weighting="velocity", only_restorer=True)
        return jax.value_and_grad(lambda params: objective.loss(params, batch, KEY, **options)[0])(params)

    value, found = gradient(denoiser.init(0), batch)
    # It starts as the identity, and does not know of faults or warps.
    low, clean, warped = (to_signal(batch[name]) for name in ("low", "clean_low", "warped_low"))
    expected = np.log(((low - clean) ** 2).mean((1, 2, 3)) + 1e-5).mean() + np.log(2)
    expected += (shifts_of_squares(clean, warped) ** 2).mean() + np.log(2)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    size = {name: sum(float(jnp.abs(leaf).sum()) for leaf in jax.tree.leaves(part)) for name, part in found.items()}
    assert size.pop("restorer") > 0 and not any(size.values())


def test_timesteps_are_uniform_from_1_to_T():
    draws = jax.vmap(lambda index: objective._draw(KEY, index, (1,), jnp.arange(4, 0, -1))[2])(jnp.arange(4000))
    counts = np.bincount(np.asarray(draws), minlength=6)
    assert counts[0] == counts[5] == 0
    assert (np.abs(counts[1:5] - 1000) < 120).all()  # four standard deviations


def test_noises_differ_between_examples_and_between_eps_and_z():
    eps0, z0, _ = objective._draw(KEY, 0, (8,), jnp.arange(4, 0, -1))
    eps1, _, _ = objective._draw(KEY, 1, (8,), jnp.arange(4, 0, -1))
    assert (eps0 != eps1).all() and (eps0 != z0).all()


def tiny_training(loss_fn, rate=0.1, decay=0.9):
    optimizer = optax.sgd(rate)
    start = train_step.initial_state({"w": jnp.array([1.0, 2.0])}, optimizer, 0)
    return start, functools.partial(train_step.train_step, loss_fn=loss_fn, optimizer=optimizer, ema_decay=decay)


def half_square(params, batch, key):
    return 0.5 * (params["w"] ** 2).sum() * batch["high"].mean(), {"rows": jnp.float32(len(batch["high"]))}


def test_a_step_and_its_ema_in_closed_form():
    start, step = tiny_training(half_square)
    batch = {"high": jnp.ones((2, 1))}
    after, metrics = step(start, batch)
    np.testing.assert_allclose(after.params["w"], [0.9, 1.8], rtol=1e-6)
    np.testing.assert_allclose(after.ema["w"], [0.91, 1.82], rtol=1e-6)  # at step 0 the decay is 1 / 10
    np.testing.assert_allclose(metrics["grad_norm"], np.sqrt(5), rtol=1e-6)
    assert (int(after.step), int(after.skipped)) == (1, 0)
    again, _ = step(after, batch)
    decay = 2 / 11
    np.testing.assert_allclose(again.ema["w"], decay * after.ema["w"] + (1 - decay) * again.params["w"], rtol=1e-6)


def test_the_emas_decay_warms_up():
    decays = [float(train_step.warmed_up_decay(jnp.asarray(step), 0.9999)) for step in (0, 90, 10**6)]
    np.testing.assert_allclose(decays, [0.1, 0.91, 0.9999], rtol=1e-6)


@pytest.mark.parametrize("warmup", [True, False])
def test_an_ema_of_every_third_step_has_the_decays_of_three(warmup):
    """Of parameters that stay as they are, it is bit for bit the old one in between, and then that of every step."""
    batch = {"high": jnp.ones((2, 1))}
    start, step = tiny_training(half_square, rate=0.0, decay=0.3)
    start = start._replace(ema={"w": jnp.array([5.0, -1.0])})
    averages = {}
    for every in (1, 3):
        jitted, state, averages[every] = jax.jit(functools.partial(step, ema_warmup=warmup, ema_every=every)), start, []
        for _ in range(6):
            state, _ = jitted(state, batch)
            averages[every].append(np.asarray(state.ema["w"]))
    for n in range(6):
        if n % 3 == 2:
            np.testing.assert_allclose(averages[3][n], averages[1][n], rtol=1e-5)
        else:
            np.testing.assert_array_equal(averages[3][n], averages[3][n - 1] if n else start.ema["w"])
    spoilt, _ = jitted(state._replace(step=jnp.int32(2)), {"high": jnp.full((2, 1), jnp.nan)})
    np.testing.assert_array_equal(spoilt.ema["w"], state.ema["w"])


def test_without_a_warm_up_the_emas_decay_is_constant():
    start, step = tiny_training(half_square, decay=0.9999)
    after, _ = step(start, {"high": jnp.ones((2, 1))}, ema_warmup=False)
    np.testing.assert_allclose(after.ema["w"] - start.ema["w"], [-1e-5, -2e-5], rtol=0.02)  # float32 near 1 and 2


def test_a_loss_that_is_not_finite_updates_only_the_counters():
    start, step = tiny_training(half_square)
    after, _ = step(start, {"high": jnp.full((2, 1), jnp.nan)})
    np.testing.assert_array_equal(after.params["w"], start.params["w"])
    np.testing.assert_array_equal(after.ema["w"], start.ema["w"])
    assert (int(after.step), int(after.skipped)) == (1, 1)


def test_a_batch_in_parts_is_one_update_with_the_mean_of_the_parts():
    """The loss is sum(w^2)/2 times the rows' mean; the rows 1, 2, 3, 4 go in two parts of every other row."""
    start, step = tiny_training(half_square)
    batch = {"high": jnp.arange(1.0, 5.0)[:, None]}
    whole, metrics = step(start, batch)
    parts, parts_metrics = step(start, batch, accumulate=2)
    np.testing.assert_allclose(parts.params["w"], [1 - 0.1 * 2.5, 2 - 0.2 * 2.5], rtol=1e-6)
    for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
    assert int(parts.step) == 1 and float(parts_metrics["rows"]) == float(metrics["rows"]) == 4


def test_the_parts_are_a_loop_except_on_a_cpu(monkeypatch):
    """XLA for CPUs is slow at the gradients of convolutions in loops; elsewhere a loop saves memory."""
    start, step = tiny_training(half_square)
    batch = {"high": jnp.arange(1.0, 5.0)[:, None]}
    found = []
    for backend in ("cpu", "gpu"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        program = jax.jit(lambda start, batch: step(start, batch, accumulate=2)).lower(start, batch)
        found.append((program.as_text().count("stablehlo.while"), program.compile()(start, batch)))
    assert [loops for loops, _ in found] == [0, 1]
    jax.tree.map(np.testing.assert_array_equal, found[0][1], found[1][1])


@pytest.fixture(scope="module")
def one_step():
    """An experiment of `configs/smoke.py`, its first state, and the result of its jitted step on a batch."""
    smallest = experiment.make(settings.read(smoke.get_config()))
    begin = smallest.initial_state()
    return smallest, begin, jax.jit(smallest.step)(begin, random_batch())


def test_accumulation_and_remat_do_not_change_the_numbers(one_step):
    _, begin, (plain, metrics) = one_step
    config = smoke.get_config()
    config.train.accumulate = 2
    config.model.unet.remat = True
    saving, saving_metrics = jax.jit(experiment.make(settings.read(config)).step)(begin, random_batch())
    np.testing.assert_allclose(saving_metrics["loss"], metrics["loss"], rtol=1e-5)
    np.testing.assert_allclose(saving_metrics["level_loss"], metrics["level_loss"], rtol=1e-5)
    for one, other in zip(*(jax.tree.leaves(s.opt_state[1][0].mu) for s in (plain, saving)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-7)


def test_a_shared_batch_gives_the_whole_batchs_step(one_step):
    """pmap over 4 devices, one example each, and one device with all four: the noise depends on the global index."""
    smallest, begin, (whole, metrics) = one_step
    step = functools.partial(smallest.step, axis="data")
    mapped = jax.pmap(step, axis_name="data", in_axes=(None, 0), out_axes=None)
    shared, shared_metrics = mapped(begin, {name: pixels[:, None] for name, pixels in random_batch().items()})
    np.testing.assert_allclose(shared_metrics["loss"], metrics["loss"], rtol=1e-5)
    np.testing.assert_allclose(shared_metrics["grad_norm"], metrics["grad_norm"], rtol=1e-4)
    # Adam's first step is the gradient's sign: compare the moments, which are the gradient itself.
    one, other = (jax.tree.leaves(s.opt_state[1][0].mu) for s in (whole, shared))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-7)
