"""The mathematics: the noise schedule's formulas, and the sampler that walks down it."""
