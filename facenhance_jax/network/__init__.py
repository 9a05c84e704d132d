"""The denoiser: its UNet, its expression encoder, and conversions of the images that they work on."""
