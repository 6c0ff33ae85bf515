"""The editors' desk: a place with its images, an action with its three shots, each on one page."""

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.urls import reverse
from django.utils.html import format_html

from diffuser_api import access, retention, webhooks
from diffuser_api.models import (
    Action,
    ActionImage,
    ApiToken,
    Client,
    Job,
    LoraModel,
    Poi,
    PoiImage,
    ShotType,
    Webhook,
)
from diffuser_api.skeletons import NoSkeleton, skeleton_of


def thumbnail(url_name: str, pk: int, field: str, height: int = 120) -> str:
    url = reverse(url_name, args=[pk, field])
    return format_html('<img src="{}" height="{}" alt="{}" loading="lazy">', url, height, field)


class PoiImageInline(admin.StackedInline):
    model = PoiImage
    extra = 1
    readonly_fields = ["preview"]

    def preview(self, image):
        return thumbnail("poi-thumbnail", image.pk, "image") if image.pk else "-"


@admin.register(Poi)
class PoiAdmin(admin.ModelAdmin):
    inlines = [PoiImageInline]
    list_display = ["name", "first_image"]
    search_fields = ["name"]

    def first_image(self, poi):
        image = poi.images.first()
        return thumbnail("poi-thumbnail", image.pk, "image", 60) if image else "-"


class ActionImageForm(forms.ModelForm):
    class Meta:
        model = ActionImage
        fields = ["shot_type", "kind", "image", "subject_mask", "face_mask"]

    def clean(self):
        """Makes the skeleton anew when the image or its kind has changed."""
        values = super().clean()
        if values.get("image") and ({"image", "kind"} & set(self.changed_data) or not self.instance.skeleton):
            try:
                self.new_skeleton = skeleton_of(values["kind"], values["image"])
            except NoSkeleton as error:
                raise ValidationError({"image": str(error)}) from error
        return values

    def save(self, commit=True):
        if hasattr(self, "new_skeleton"):
            self.instance.skeleton = self.new_skeleton
        return super().save(commit)


class ActionImageInline(admin.StackedInline):
    model = ActionImage
    form = ActionImageForm
    extra = max_num = len(ShotType)
    readonly_fields = ["preview"]

    def get_extra(self, request, obj=None, **kwargs):
        return len(ShotType) - (obj.images.count() if obj else 0)

    def preview(self, image):
        if not image.pk:
            return "-"
        fields = ("skeleton", "subject_mask", "face_mask")
        return format_html("{} {} {}", *(thumbnail("action-thumbnail", image.pk, field) for field in fields))


@admin.register(Action)
class ActionAdmin(admin.ModelAdmin):
    inlines = [ActionImageInline]
    list_display = ["name", "description", "shots"]
    search_fields = ["name", "description"]

    def shots(self, action):
        return format_html(
            "{}", " ".join(action.images.values_list("shot_type", flat=True)) or "none: add its three shots"
        )


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that the system writes; they can be looked at and deleted."""

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def delete_model(self, request, row):
        retention.delete(row.code)

    def delete_queryset(self, request, rows):
        for code in list(rows.values_list("code", flat=True)):
            retention.delete(code)


class ApiTokenInline(admin.TabularInline):
    """A client's tokens; to delete one withdraws it."""

    model = ApiToken
    extra = 0
    readonly_fields = ["start", "created_at"]

    def has_add_permission(self, request, obj=None):
        return False


@admin.register(Client)
class ClientAdmin(admin.ModelAdmin):
    inlines = [ApiTokenInline]
    list_display = ["name", "is_active", "created_at"]
    search_fields = ["name"]
    actions = ["issue_token"]
    readonly_fields = ["webhook_key"]

    @admin.display(description="key of its webhooks")
    def webhook_key(self, client):
        return webhooks.key_of(client) if client.pk else "-"

    def save_model(self, request, client, form, change):
        super().save_model(request, client, form, change)
        if not change:
            self.show_token(request, client)

    @admin.action(description="Issue one more token", permissions=["change"])
    def issue_token(self, request, clients):
        for client in clients:
            self.show_token(request, client)

    def show_token(self, request, client):
        text = f'Token of "{client}", shown only now: {access.issue_token(client)}'
        self.message_user(request, text, messages.WARNING)


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = ["code", "client", "kind", "status", "step", "percent", "created_at", "error_message"]
    list_filter = ["kind", "status", "client"]
    search_fields = ["code"]
    exclude = ["token_hash"]

    def percent(self, job):
        return f"{job.progress:.0%}"


@admin.register(LoraModel)
class LoraModelAdmin(ReadOnlyAdmin):
    list_display = ["code", "client", "created_at", "job"]
    search_fields = ["code"]


@admin.register(Webhook)
class WebhookAdmin(ReadOnlyAdmin):
    list_display = ["event", "job", "host", "status", "attempts", "next_try_at", "last_result"]
    list_filter = ["status", "event"]
    search_fields = ["job__code", "host"]
    actions = ["send_again"]

    @admin.action(description="Send again those that are dead or delivered", permissions=["view"])
    def send_again(self, request, queryset):
        self.message_user(request, f"{webhooks.send_again(queryset)} webhooks will be sent again")
