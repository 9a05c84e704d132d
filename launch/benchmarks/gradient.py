"""The gradient of a convolution's weights: XLA's own beside a sum of matrix products."""

import os

from benchmarks.measuring import seconds

BATCH = 4
LAYERS = ((48, 128, 64), (24, 256, 128), (12, 256, 128))  # configs/demo.py's heaviest: side, channels in and out


def wgrad() -> None:
    """Prints the table of `--what=wgrad`: 3x3 convolutions in float32."""
    import jax
    import jax.numpy as jnp

    def convolved(x, kernel):
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    @jax.jit
    def own(x, slope):
        kernel = jnp.zeros((3, 3, x.shape[-1], slope.shape[-1]))
        return jax.vjp(lambda kernel: convolved(x, kernel), kernel)[1](slope)[0]

    @jax.jit
    def shifted(x, slope):
        _, height, width, _ = x.shape
        wide = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        views = [wide[:, row : row + height, column : column + width] for row in range(3) for column in range(3)]
        products = [jnp.einsum("bhwi,bhwo->io", view, slope) for view in views]
        return jnp.stack(products).reshape(3, 3, x.shape[-1], slope.shape[-1])

    print(
        f"weight gradients of 3x3 convolutions, batch {BATCH}, {jax.devices()[0].device_kind}, {os.cpu_count()} cores"
    )
    print("layer                    XLA's, ms   9 products, ms   9 products / XLA's   largest difference")
    for side, inputs, outputs in LAYERS:
        x = jax.random.normal(jax.random.key(0), (BATCH, side, side, inputs))
        slope = jax.random.normal(jax.random.key(1), (BATCH, side, side, outputs))
        times = [1000 * seconds(lambda: way(x, slope).block_until_ready(), 20) for way in (own, shifted)]  # noqa: B023
        found = own(x, slope)
        difference = float(abs(found - shifted(x, slope)).max() / abs(found).max())
        name = f"{side}x{side}, {inputs} to {outputs}"
        print(f"{name:22s} {times[0]:11.2f} {times[1]:16.2f} {times[1] / times[0]:20.2f} {difference:20.1e}")
