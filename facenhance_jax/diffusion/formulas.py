"""The schedule and the formulas of the diffusion, as pure functions of arrays.

With a_t = sqrt(alpha_bar_t) = cos(phi_t) and s_t = sqrt(1 - alpha_bar_t) = sin(phi_t) every formula is a rotation:

    x_t = cos(phi_t) x_0 + sin(phi_t) eps               the forward process (equation 2 of the paper)
    v_t = cos(phi_t) eps - sin(phi_t) x_0               the velocity dx/dphi (Salimans & Ho 2022, arXiv:2202.00512)
    x_s = cos(phi_t - phi_s) x_t - sin(phi_t - phi_s) v_t     for any s < t: the deterministic (DDIM) step

The functions take NumPy float64 arrays on the host or JAX arrays on the device and return the same kind. An angle has
the shape of its images' leading axes: [] or [b] for images [b, h, w, c].
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Array, Float

Images = Float[Array, "*b h w c"] | Float[np.ndarray, "*b h w c"]
Angle = Float[Array, "*angles"] | Float[np.ndarray, "*angles"] | float


@dataclass(frozen=True)
class Schedule:
    """The angles phi_0 = 0 < phi_1 < ... < phi_T of a noise schedule, in radians, float64.

    Attributes:
      phi: [T + 1]; `phi[t]` is the angle of timestep t and `phi[0]` is exactly 0.
    """

    phi: Float[np.ndarray, " T1"]

    @property
    def timesteps(self) -> int:
        """T, the number of noise levels."""
        return len(self.phi) - 1

    @property
    def alpha_bar(self) -> Float[np.ndarray, " T1"]:
        """The signal's share of the variance, [T + 1], from 1 down."""
        return np.cos(self.phi) ** 2

    @property
    def delta(self) -> Float[np.ndarray, " T1"]:
        """phi_t - phi_{t-1} for each t, [T + 1]; entry 0 is 0."""
        return np.diff(self.phi, prepend=self.phi[:1])


def linear_schedule(timesteps: int = 1000, beta_start: float = 1e-4, beta_end: float = 0.02) -> Schedule:
    """beta_t grows linearly from `beta_start` (t = 1) to `beta_end` (t = T), as in section 5.2 of the paper."""
    if timesteps < 1 or not 0 < beta_start <= beta_end < 1:
        raise ValueError(f"no such schedule: timesteps={timesteps} beta_start={beta_start} beta_end={beta_end}")
    log_alpha_bar = np.cumsum(np.log1p(-np.linspace(beta_start, beta_end, timesteps)))
    # expm1 keeps 1 - alpha_bar exact to the last digit where it is small.
    phi = np.arctan2(np.sqrt(-np.expm1(log_alpha_bar)), np.exp(0.5 * log_alpha_bar))
    return Schedule(phi=np.concatenate([np.zeros(1), phi]))


def diffuse(clean: Images, noise: Images, phi: Angle) -> Images:
    """x_t from x_0 and eps (equation 2 of the paper)."""
    cos, sin = _cos_sin(phi, clean)
    return cos * clean + sin * noise


def velocity(clean: Images, noise: Images, phi: Angle) -> Images:
    """v_t = dx/dphi from x_0 and eps."""
    cos, sin = _cos_sin(phi, clean)
    return cos * noise - sin * clean


def step(noisy: Images, velocity: Images, angle: Angle) -> Images:
    """x_s from x_t and v_t, exactly, where angle = phi_t - phi_s. With s = t - 1 it is the paper's x_{t-1}."""
    cos, sin = _cos_sin(angle, noisy)
    return cos * noisy - sin * velocity


def clean_of(noisy: Images, velocity: Images, phi: Angle) -> Images:
    """x_0 from x_t and v_t: the step down to timestep 0."""
    return step(noisy, velocity, phi)


def velocity_of_step(noisy: Images, stepped: Images, angle: Angle) -> Images:
    """v_t from x_t and x_s: the inverse of `step`, for angle > 0."""
    cos, sin = _cos_sin(angle, noisy)
    return (cos * noisy - stepped) / sin


def gaussian_gain(phi: Angle, std: float) -> Angle:
    """The g of E[v_t | x_t] = g x_t, for x_0 ~ N(0, std^2): the best guess of a pixel's velocity from that pixel."""
    namespace = phi.__array_namespace__()
    cos, sin = namespace.cos(phi), namespace.sin(phi)
    return cos * sin * (1.0 - std**2) / (std**2 * cos**2 + sin**2)


def _cos_sin(angle: Angle, images: Images) -> tuple:
    """The angle's cosine and sine, shaped to multiply images."""
    namespace = images.__array_namespace__()
    angle = namespace.asarray(angle, dtype=images.dtype)
    angle = angle.reshape(angle.shape + (1,) * (images.ndim - angle.ndim))
    return namespace.cos(angle), namespace.sin(angle)
