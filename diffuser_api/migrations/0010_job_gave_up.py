"""A mark on jobs whose every attempt ended with a process's death; until now their error's text alone said so."""

from django.db import migrations, models


def mark(apps, schema_editor):
    jobs = apps.get_model("diffuser_api", "Job").objects
    jobs.filter(error_message__endswith=" (in each of 3 attempts)").update(gave_up=True)


class Migration(migrations.Migration):
    dependencies = [("diffuser_api", "0009_one_queue")]

    operations = [
        migrations.AddField("Job", "gave_up", models.BooleanField(default=False, editable=False)),
        migrations.RunPython(mark, migrations.RunPython.noop),
    ]
