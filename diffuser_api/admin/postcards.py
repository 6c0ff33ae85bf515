"""Layouts of postcards: style, logo and font."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.utils.translation import gettext

from diffuser_api.admin.in_languages import ShownWords, form_for
from diffuser_api.admin.pages import ACCEPTED, KeptFileInput
from diffuser_api.catalogue import entrance
from diffuser_api.models import PostcardLayout
from diffuser_api.postcards import new_fonts


class PostcardLayoutForm(forms.ModelForm):
    class Meta:
        model = PostcardLayout
        fields = ["name", "style", "logo", "logo_corner", "font", "position"]
        widgets = {"logo": KeptFileInput({"accept": ACCEPTED}), "font": KeptFileInput}
        field_classes = {"logo": forms.FileField}  # an ImageField would decode the file in this process

    def clean_logo(self):
        logo = self.cleaned_data["logo"]
        if not logo or "logo" not in self.changed_data:
            return logo
        [content] = entrance.taken([("logo", logo)])
        if isinstance(content, entrance.PictureRefused):
            raise ValidationError(str(content))
        return entrance.as_file(content, logo.name)

    def clean_font(self):
        font = self.cleaned_data["font"]
        if font and "font" in self.changed_data:
            try:
                new_fonts.check(font)
            except new_fonts.NotAFont as error:
                raise ValidationError(gettext("This is no TrueType font that can be embedded.")) from error
            font.seek(0)
        return font


@admin.register(PostcardLayout)
class PostcardLayoutAdmin(ShownWords, admin.ModelAdmin):
    form = form_for(PostcardLayout, own_form=PostcardLayoutForm)
    list_display = ["shown_name", "style", "position"]
