"""The mathematics of diffusion: the noise schedule, its formulas, and the sampler."""
