"""A place with its pictures, on one page; several pictures are dropped at once."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from diffuser_api.admin import catalogue
from diffuser_api.admin.in_languages import ShownWords, form_for
from diffuser_api.admin.pages import DeskAdmin, PictureField, module, thumbnail
from diffuser_api.models import Poi, PoiImage


class PoiImageForm(forms.ModelForm):
    image = PictureField(label=_("picture"))

    class Meta:
        model = PoiImage
        fields = ["image", "name", "description", "position"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["position"].required = False

    def has_changed(self):
        """A new picture of which only the position was given is none yet."""
        return super().has_changed() and (self.instance.pk is not None or self.changed_data != ["position"])

    def clean_position(self):
        return self.cleaned_data["position"] or 0


class PoiImageInline(admin.StackedInline):
    model = PoiImage
    form = form_for(PoiImage, own_form=PoiImageForm)
    template = "desk/place_images.html"
    extra = 1
    verbose_name = _("picture")


@admin.register(Poi)
class PoiAdmin(ShownWords, DeskAdmin):
    form = form_for(Poi, "name")
    inlines = [PoiImageInline]
    list_display = ["shown_name", "first_image", "pictures", "try_it"]
    search_fields = ["name"]

    class Media:
        css = {"all": ["desk/desk.css"]}
        js = [module("desk/place.js")]

    def get_urls(self):
        return [*catalogue.urls(), *super().get_urls()]

    def get_queryset(self, request):
        return super().get_queryset(request).prefetch_related("images")

    @admin.display(description=_("first picture"))
    def first_image(self, poi):
        images = list(poi.images.all())
        return (
            thumbnail("poi-thumbnail", images[0].pk, "image", 60) if images else gettext("none yet: add one")
        )

    @admin.display(description=_("pictures"))
    def pictures(self, poi):
        return len(poi.images.all())

    @admin.display(description=_("try"))
    def try_it(self, poi):
        images = list(poi.images.all())
        url = reverse("admin:diffuser_api_action_try")
        label = gettext("Try it")
        return format_html('<a href="{}?place={}">{}</a>', url, images[0].pk, label) if images else ""
