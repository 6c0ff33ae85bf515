"""The rows of jobs are the queue. The table of messages that stood beside it in earlier versions goes.

Its app is not installed any more, so its table is named here; a new database never had it.
"""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("diffuser_api", "0008_likeness_of_checkpoints")]

    operations = [
        migrations.RunSQL(
            "DROP TABLE IF EXISTS django_tasks_database_dbtaskresult", migrations.RunSQL.noop
        ),
        migrations.RunSQL(
            "DELETE FROM django_migrations WHERE app = 'django_tasks_database'", migrations.RunSQL.noop
        ),
    ]
