"""The denoiser: its UNet, its expression encoder, and the pixels that they work on."""
