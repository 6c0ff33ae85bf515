from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("diffuser_api", "0028_trainings_give_way"),
    ]

    operations = [
        migrations.AddField(
            model_name="loramodel",
            name="skin",
            field=models.JSONField(blank=True, db_default=[], default=list),
        ),
    ]
