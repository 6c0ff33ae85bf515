"""A system check of what the catalogue holds: ``manage.py check --deploy`` reads all of its face masks."""

from django.core.checks import Warning, register
from django.db import DatabaseError

from diffuser_api.catalogue import head_masks
from diffuser_api.models import ActionImage


@register(deploy=True)
def face_masks_hold_the_hair(app_configs, **kwargs):
    hint = "Select the actions in the admin and choose *Propose face masks that leave out hair anew*."
    try:
        shots = ActionImage.objects.select_related("action")
        names = [str(shot) for shot in shots if head_masks.leaves_out_hair(shot)]
    except DatabaseError:  # its tables aren't made yet
        return []
    text = f"These face masks leave out hair: {', '.join(names)}."
    return [Warning(text, hint=hint, id="cartolina.W006")] if names else []
