"""A mark on LoRAs that are being erased."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("diffuser_api", "0010_job_gave_up")]

    operations = [
        migrations.AddField("LoraModel", "is_erased", models.BooleanField(default=False, editable=False)),
    ]
