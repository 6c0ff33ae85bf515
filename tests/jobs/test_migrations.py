"""Databases of earlier versions lose what is used no more."""

from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder

from diffuser_api.models import Poi, PoiImage

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


def test_names_that_exist_get_the_form_in_which_they_are_looked_for(transactional_db):
    migrate_to("0011_lora_is_erased")
    state = MigrationExecutor(connection).loader.project_state([("diffuser_api", "0011_lora_is_erased")])
    old_poi, old_image = (state.apps.get_model("diffuser_api", name) for name in ("Poi", "PoiImage"))
    composed, decomposed = "Citt\u00e0", "Citta\u0300"
    twin, place = old_poi.objects.create(name=decomposed), old_poi.objects.create(name=composed)
    for poi, name in ((twin, "caffe\u0300"), (place, " caff\u00e8 "), (place, "caffe\u0300")):
        old_image.objects.create(poi=poi, name=name, description="a bar", image="pois/a.png")
    migrate_to_the_newest()
    assert (Poi.objects.get(pk=place.pk).name, Poi.objects.get(pk=twin.pk).name) == (
        composed,
        f"{composed} (2)",
    )
    assert [image.name for image in PoiImage.objects.filter(poi=twin.pk)] == ["caff\u00e8"]
    names = PoiImage.objects.filter(poi=place.pk).values_list("name", flat=True)
    assert sorted(names) == ["caff\u00e8", "caff\u00e8 (2)"]
    assert Poi.objects.get(name=decomposed).pk == place.pk
