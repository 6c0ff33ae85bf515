"""Front-ends with their tokens, and the webhooks sent to them."""

from __future__ import annotations

import json

from django.contrib import admin, messages
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from diffuser_api.access import tokens
from diffuser_api.admin.jobs import ReadOnlyAdmin
from diffuser_api.models import ApiToken, Client, Webhook
from diffuser_api.webhooks import outbox


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
    TOKENS = _(
        "A new client's first token is shown once, when the client is saved. For one more, choose the client "
        "in the list, and there the action that issues a token."
    )
    fieldsets = [(None, {"description": TOKENS, "fields": ["name", "is_active", "webhook_key"]})]

    @admin.display(description=_("key of its webhooks"))
    def webhook_key(self, client):
        return outbox.key_of(client) if client.pk else "-"

    def save_model(self, request, client, form, change):
        super().save_model(request, client, form, change)
        if not change:
            self.show_token(request, client)

    @admin.action(description=_("Issue one more token"), permissions=["change"])
    def issue_token(self, request, clients):
        for client in clients:
            self.show_token(request, client)

    def show_token(self, request, client):
        text = gettext('Token of "{client}", shown only now: {token}')
        text = text.format(client=client, token=tokens.issue_token(client))
        self.message_user(request, text, messages.WARNING)


def _two_lines(first, second: str) -> str:
    return format_html('{}<div class="state-more">{}</div>', first, second)


@admin.register(Webhook)
class WebhookAdmin(ReadOnlyAdmin):
    list_display = ["told", "state", "tries"]
    list_select_related = ["job"]
    list_filter = ["status", "event"]
    search_fields = ["job__code", "host"]
    exclude = ["body"]
    readonly_fields = ["message"]
    actions = ["send_again"]

    class Media:
        css = {"all": ["desk/desk.css"]}

    # Few columns, so that the list fits beside the filters.
    @admin.display(description=_("webhook"), ordering="created_at")
    def told(self, webhook):
        return _two_lines(webhook.event, f"{webhook.job}, {webhook.host}")

    @admin.display(description=_("status"), ordering="status")
    def state(self, webhook):
        return _two_lines(webhook.get_status_display(), webhook.last_result)

    @admin.display(description=_("attempts"), ordering="next_try_at")
    def tries(self, webhook):
        when = date_format(timezone.localtime(webhook.next_try_at), "SHORT_DATETIME_FORMAT")
        is_pending = webhook.status == Webhook.Status.PENDING
        return _two_lines(webhook.attempts, f"{gettext('next try')}: {when}" if is_pending else "")

    @admin.display(description=_("body"))
    def message(self, webhook):
        """With the API's own names, for those who write the front-end."""
        body = json.dumps(json.loads(webhook.body), indent=2, ensure_ascii=False)
        return format_html('<pre class="desk-message" lang="en">{}</pre>', body)

    @admin.action(description=_("Send again those that are dead or delivered"), permissions=["view"])
    def send_again(self, request, queryset):
        count = outbox.send_again(queryset)
        text = ngettext("{count} webhook will be sent again", "{count} webhooks will be sent again", count)
        self.message_user(request, text.format(count=count))
