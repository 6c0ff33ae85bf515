"""Load the demo's places and actions into the catalogue: ``manage.py load_demo``. Twice does no harm.
Rows that an earlier version has loaded get their Italian words."""

from django.core.files.base import ContentFile
from django.core.management.base import BaseCommand

from diffuser_api.catalogue import demo_words
from diffuser_api.models import Action, ActionImage, Poi, PoiImage
from diffuser_api.photos.pictures import as_png
from generation.miniature import demo_content


def _png(picture, name: str) -> ContentFile:
    return ContentFile(as_png(picture), name=f"{name.replace(' ', '-').lower()}.png")


def _translate(row: PoiImage | Action) -> None:
    """Unless an editor has done it."""
    if not row.translations:
        row.translations = demo_words.translations(name=row.name, description=row.description)
        row.save(update_fields=["translations"])


class Command(BaseCommand):
    help = "Load the demo's places and actions. What is there already is left as it is."

    def handle(self, *args, **options):
        added = self.load_places() + self.load_actions()
        self.stdout.write(f"{added} demo images added to the catalogue")

    def load_places(self) -> int:
        before = PoiImage.objects.count()
        for place in demo_content.places():
            poi, _ = Poi.objects.get_or_create(name=place.name)
            for position, image in enumerate(place.images):  # by day first: people stand out more
                row = poi.images.filter(name=image.name).first()
                if row is None:
                    file = _png(image.picture, f"{place.name} {image.name}")
                    row = PoiImage.objects.create(
                        poi=poi,
                        name=image.name,
                        description=image.description,
                        image=file,
                        position=position,
                    )
                _translate(row)
        return PoiImage.objects.count() - before

    def load_actions(self) -> int:
        before = ActionImage.objects.count()
        for drawn in demo_content.actions():
            action, _ = Action.objects.get_or_create(
                name=drawn.name, defaults={"description": drawn.description}
            )
            _translate(action)
            for shot_type, shot in drawn.shots.items():
                if action.images.filter(shot_type=shot_type).exists():
                    continue
                name = f"{drawn.name} {shot_type}"
                ActionImage.objects.create(
                    action=action,
                    shot_type=shot_type,
                    image=_png(shot.skeleton, name),
                    skeleton=_png(shot.skeleton, f"{name} skeleton"),
                    subject_mask=_png(shot.subject_mask, f"{name} subject"),
                    face_mask=_png(shot.face_mask, f"{name} face"),
                )
        return ActionImage.objects.count() - before
