"""The size of the miniature's latents; apart from ``family``, which imports diffusers."""

LATENT_CHANNELS = 4
VAE_FACTOR = 4  # a side of a picture in units of its latents' side
