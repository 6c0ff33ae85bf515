"""Users and groups: Django's own pages, with permissions in the reader's language."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.utils.translation import gettext_lazy as _

VERBS = {"add": _("may add"), "change": _("may change"), "delete": _("may delete"), "view": _("may view")}


def _called(permission) -> str:
    """Django stores what a permission is called in English: "Can add client"."""
    verb = permission.codename.partition("_")[0]
    return f"{permission.content_type.name}: {VERBS.get(verb, permission.name)}"


class Permissions:
    def formfield_for_manytomany(self, db_field, request=None, **kwargs):
        field = super().formfield_for_manytomany(db_field, request=request, **kwargs)
        if field and db_field.name in ("permissions", "user_permissions"):
            field.label_from_instance = _called
        return field


admin.site.unregister([Group, User])


@admin.register(Group)
class OurGroupAdmin(Permissions, GroupAdmin):
    """Most installations have a few editors and no group. The first group is made on a user's page."""

    def has_module_permission(self, request):
        return super().has_module_permission(request) and Group.objects.exists()


@admin.register(User)
class OurUserAdmin(Permissions, UserAdmin):
    pass
