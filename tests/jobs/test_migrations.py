"""Databases of earlier versions lose what is used no more."""

from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

OLD_TABLE = "django_tasks_database_dbtaskresult"


def migrate_to(name: str) -> None:
    MigrationExecutor(connection).migrate([("diffuser_api", name)])


def migrate_to_the_newest() -> None:
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes("diffuser_api"))


def test_the_table_of_messages_goes_with_its_migrations(transactional_db):
    recorder = MigrationRecorder(connection)
    migrate_to("0008_likeness_of_checkpoints")
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TABLE {OLD_TABLE} (id integer)")
    recorder.record_applied("django_tasks_database", "0001_initial")
    migrate_to_the_newest()
    assert OLD_TABLE not in connection.introspection.table_names()
    assert not recorder.migration_qs.filter(app="django_tasks_database").exists()
