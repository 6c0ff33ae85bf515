"""The embedded model family: a drawn world, and a small Stable Diffusion family trained on it."""
