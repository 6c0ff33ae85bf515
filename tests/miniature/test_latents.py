"""The size of the latents is the model's, not a number in a benchmark."""

from benchmarks import plain_lora
from benchmarks.harness.small_models import make_vae
from generation.miniature.training import family


def test_the_latents_of_a_model_that_is_not_stable_diffusions_have_their_own_size(tmp_path):
    family.build_vae().save_pretrained(tmp_path / "quarter" / "vae")
    make_vae("kl").save_pretrained(tmp_path / "eighth" / "vae")
    assert plain_lora.vae_factor(tmp_path / "quarter") == 4
    assert plain_lora.vae_factor(tmp_path / "eighth") == 8
