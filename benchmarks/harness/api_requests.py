"""What the tests ask of the API: a picture, a training."""

from __future__ import annotations

from django.core.files.uploadedfile import SimpleUploadedFile


def a_request(**changes) -> dict:
    values = {
        "poi_name": "Piazza",
        "poi_image": "noon",
        "action_name": "waving",
        "action_shot_type": "MES",
        "age": "adult",
        "gender": "woman",
        "other_details": "a red coat",
        "selected_lora": "",
        "dynamic_action_selection": False,
        "action_prompt": "",
    }
    return values | changes


def send(client, photos, names=None):
    names = names or [f"photo{k}.png" for k in range(len(photos))]
    files = [SimpleUploadedFile(name, photo) for name, photo in zip(names, photos, strict=True)]
    return client.post("/api/lora-training/", {"images": files})
