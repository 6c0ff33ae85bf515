"""New migrations leave the processes of the version before at work, until the last of them is replaced."""

import pytest
from django.db import models
from django.db.migrations import operations
from django.db.migrations.loader import MigrationLoader
from django.db.models.fields import NOT_PROVIDED

FIRST = 13  # migrations before it were made for a service that stands still meanwhile
# The version before still reads or writes what these take away. ``docs/scaling.md`` says what to do instead.
TAKING = (operations.RemoveField, operations.DeleteModel, operations.RenameField, operations.RenameModel)


def wrong(operation) -> str:
    """Why the version before fails after this operation; empty if it doesn't."""
    if isinstance(operation, TAKING):
        return "the version before uses what is taken away"
    if not isinstance(operation, operations.AddField) or isinstance(operation.field, models.ManyToManyField):
        return ""
    if operation.field.null or operation.field.db_default is not NOT_PROVIDED:
        return ""
    return "the version before makes rows without this column: it needs null or a db_default"


def test_migrations_leave_the_version_before_at_work():
    migrations = MigrationLoader(None).disk_migrations
    ours = {name: one for (app, name), one in migrations.items() if app == "diffuser_api"}
    new = [operation for name in ours if int(name[:4]) >= FIRST for operation in ours[name].operations]
    assert [f"{operation.describe()}: {wrong(operation)}" for operation in new if wrong(operation)] == []


@pytest.mark.parametrize(
    ("operation", "is_wrong"),
    [
        (operations.AddField("job", "queue", models.CharField(max_length=9)), True),
        (operations.AddField("job", "queue", models.CharField(max_length=9, default="")), True),
        (operations.AddField("job", "queue", models.CharField(max_length=9, db_default="")), False),
        (operations.AddField("job", "queue", models.IntegerField(null=True)), False),
        (operations.RemoveField("job", "sender"), True),
    ],
)
def test_the_rule_knows_what_breaks_the_version_before(operation, is_wrong):
    assert bool(wrong(operation)) == is_wrong
