"""Names of places, their images and actions in composed Unicode with single spaces, as they are looked for.

Of rows whose names become the same, those after the first get a number, so that nothing is lost.
"""

import unicodedata

from django.db import migrations

LENGTH = 100
UNSEEN = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))


def one_line(text):
    return " ".join(unicodedata.normalize("NFC", text).translate(UNSEEN).split())


def unlike(name, taken):
    number, found = 2, name
    while found in taken:
        ending = f" ({number})"
        found, number = name[: LENGTH - len(ending)] + ending, number + 1
    return found


def rename(apps, schema_editor):
    for model, owner in (("Poi", None), ("PoiImage", "poi_id"), ("Action", None)):
        rows = list(apps.get_model("diffuser_api", model).objects.order_by("pk"))
        taken = {(owner and getattr(row, owner), row.name) for row in rows if one_line(row.name) == row.name}
        for row in rows:
            new = one_line(row.name) or "unnamed"
            if new == row.name:
                continue
            group = owner and getattr(row, owner)
            row.name = unlike(new, {name for of, name in taken if of == group})
            taken.add((group, row.name))
            row.save(update_fields=["name"])


class Migration(migrations.Migration):
    dependencies = [("diffuser_api", "0011_lora_is_erased")]
    operations = [migrations.RunPython(rename, migrations.RunPython.noop)]
