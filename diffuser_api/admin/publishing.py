"""Reports about shared pictures, with the button that takes a picture down; and the audit log."""

from __future__ import annotations

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from diffuser_api import audit
from diffuser_api.admin import audit_words
from diffuser_api.admin.jobs import ReadOnlyAdmin
from diffuser_api.jobs import deletion
from diffuser_api.models import AuditEntry, Report


@admin.register(Report)
class ReportAdmin(ReadOnlyAdmin):
    """A report that is unfounded is deleted here. One that isn't goes with its picture."""

    list_display = ["picture", "told"]
    list_display_links = None
    list_filter = ["reason", "created_at"]
    list_select_related = ["job"]
    search_fields = ["job__code"]
    fields = ["created_at", "reason", "words", "picture", "take_down"]

    class Media:
        css = {"all": ["desk/desk.css"]}

    @admin.display(description=_("picture"))
    def picture(self, report):
        page = reverse("admin:diffuser_api_job_change", args=[report.job_id])
        shown = reverse("output", args=[report.job.code])
        html = '<a href="{}"><img class="desk-reported" src="{}" alt="" loading="lazy"><br>{}</a>'
        return format_html(html, page, shown, report.job.code)

    @admin.display(description=_("report"), ordering="created_at")
    def told(self, report):
        """All in one column, with the button, so that a phone shows it beside the picture."""
        when = date_format(timezone.localtime(report.created_at), "SHORT_DATETIME_FORMAT")
        html = '<strong>{}</strong><div class="state-more">{}</div><p>{}</p>{}'
        return format_html(html, report.get_reason_display(), when, report.words, self.take_down(report))

    @admin.display(description="")
    def take_down(self, report):
        """A button of the list's own form, which holds the token that a POST needs."""
        url = reverse("admin:diffuser_api_report_take_down", args=[report.pk])
        html = '<button class="button" formaction="{}" formmethod="post">{}</button>'
        return format_html(html, url, gettext("Take the picture down"))

    def get_urls(self):
        page = self.admin_site.admin_view(require_POST(self.take_down_now))
        here = path("<int:pk>/take-down/", page, name="diffuser_api_report_take_down")
        return [here, *super().get_urls()]

    def take_down_now(self, request, pk):
        if not (request.user.has_perm("diffuser_api.delete_job") and self.has_view_permission(request)):
            raise PermissionDenied
        code = get_object_or_404(Report, pk=pk).job.code
        deletion.take_down(code, audit.staff(request.user))
        text = gettext("{code} was taken down. Copies that people have saved are out of reach.")
        self.message_user(request, text.format(code=code), messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:diffuser_api_report_changelist"))


def waiting(request) -> dict:
    """A context processor. It passes the function, so that only a page that shows the number asks for it."""
    return {"reports_waiting": Report.objects.count}


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Read only, so that nobody tidies up after themselves. Entries go by their age."""

    list_display = fields = ["at", "event", "what", "code", "shown_by", "shown_reason"]
    list_display_links = None
    list_filter = ["event", "what", "at"]
    search_fields = ["code", "by"]
    date_hierarchy = "at"

    @admin.display(description=_("by"), ordering="by")
    def shown_by(self, entry):
        return audit_words.by(entry.by) or "-"

    @admin.display(description=_("reason"), ordering="reason")
    def shown_reason(self, entry):
        return audit_words.reason(entry.reason) or "-"

    def has_delete_permission(self, request, obj=None):
        return False
