"""Jobs: rows that the system writes. They can be looked at, cancelled, run again and deleted."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import FileResponse, Http404, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.formats import date_format, number_format
from django.utils.html import format_html
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_POST

from diffuser_api import audit
from diffuser_api.admin import job_panel, once
from diffuser_api.admin.pages import module
from diffuser_api.admin.readable import ReadableJson
from diffuser_api.jobs import choosing, deletion, orders, status_changes, working_files
from diffuser_api.models import Job
from diffuser_api.photos.pictures import open_stored, small_for_staff
from generation.step_table import ORDER

ERROR_NAMES = {
    "disk_full": _("disk full"),
    "internal_error": _("internal error"),
    "lora_unusable": _("LoRA unusable"),
    "picture_refused": _("picture refused"),
    "step_failed": _("step failed"),
    "timed_out": _("timed out"),
    "training_failed": _("training failed"),
    "unusable_files": _("unusable files"),
    "worker_died": _("worker died"),
}


SMALL_SIDE = 128  # pixels of a picture in a list, twice as many as it is shown with


def small_picture(pk: int) -> str:
    """The finished picture of the job with this key, as a list shows it."""
    url = reverse("admin:diffuser_api_job_small", args=[pk])
    return format_html('<img src="{}" height="{}" alt="" loading="lazy">', url, SMALL_SIDE // 2)


def called(error_code: str) -> str:
    return str(ERROR_NAMES.get(error_code, error_code.replace("_", " ")))


class ReadOnlyAdmin(ReadableJson, admin.ModelAdmin):
    """Rows that the system writes; they can be looked at and deleted."""

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False


class CodeAdmin(ReadOnlyAdmin):
    """Rows with a code, deleted with all that belongs to it, after the transaction that Django's page has
    opened: workers must see that their jobs are taken from them."""

    def delete_model(self, request, row):
        transaction.on_commit(partial(deletion.delete, row.code, audit.staff(request.user)))

    def delete_queryset(self, request, rows):
        for code in rows.values_list("code", flat=True):
            transaction.on_commit(partial(deletion.delete, code, audit.staff(request.user)))


class WithError(admin.SimpleListFilter):
    title, parameter_name = _("error"), "error_code"

    def lookups(self, request, model_admin):
        codes = Job.objects.exclude(error_code="").order_by("error_code").values_list("error_code", flat=True)
        return [(code, called(code)) for code in codes.distinct()]

    def queryset(self, request, queryset):
        return queryset.filter(error_code=self.value()) if self.value() else queryset


@admin.register(Job)
class JobAdmin(CodeAdmin):
    list_display = ["code", "small", "state", "kind", "seconds", "asked"]
    list_filter = [
        "kind",
        "status",
        "created_at",
        WithError,
        "client",
        ("action_image__action", admin.RelatedOnlyFieldListFilter),
        ("poi_image__poi", admin.RelatedOnlyFieldListFilter),
    ]
    list_select_related = ["client"]
    search_fields = ["code", "visitor", "parameters__action", "error_message"]
    date_hierarchy = "created_at"
    fieldsets = [
        (
            _("Asked"),
            {"fields": ["poi_image", "action_image", "lora", "parameters", "seed", "client", "visitor"]},
        ),
        (_("Run"), {"fields": ["attempt", "created_at", "started_at", "finished_at", "heartbeat_at"]}),
        (_("Details"), {"classes": ["collapse"], "fields": ["error_code", "webhook_url", "timings", "log"]}),
    ]
    readonly_fields = ["created_at"]
    actions = ["cancel_selected", "run_selected_again"]
    change_form_template = "desk/job.html"

    class Media:
        css = {"all": ["desk/desk.css"]}
        js = [module("desk/job.js")]

    @admin.display(description=_("picture"))
    def small(self, job):
        return small_picture(job.pk) if job.output else ""

    @admin.display(description=_("status"), ordering="status")
    def state(self, job):
        state = format_html('<span class="state state-{}">{}</span>', job.status, job.get_status_display())
        more = called(job.error_code)
        if job.status == Job.Status.RUNNING:
            more = f"{job.progress:.0%}"
        return format_html('{}<div class="state-more" title="{}">{}</div>', state, job.error_message, more)

    @admin.display(description=_("took"))
    def seconds(self, job):
        if not (job.started_at and job.finished_at):
            return ""
        return f"{number_format((job.finished_at - job.started_at).total_seconds(), 1)}\N{NO-BREAK SPACE}s"

    @admin.display(description=_("created"), ordering="created_at")
    def asked(self, job):
        """When, and by which client: one narrow column, so that the list fits beside the filters."""
        when = date_format(timezone.localtime(job.created_at), "SHORT_DATETIME_FORMAT")
        return format_html('{}<div class="state-more">{}</div>', when, job.client or "")

    # --- cancel and run again, of many or of one ------------------------------------------------------------

    def has_steer_permission(self, request):
        return request.user.has_perm("diffuser_api.change_job")

    @admin.action(description=_("Cancel those that wait or run"), permissions=["steer"])
    def cancel_selected(self, request, queryset):
        cancelled = sum(status_changes.cancel(code) for code in queryset.values_list("code", flat=True))
        text = ngettext(
            "{count} job was cancelled; the others had finished.",
            "{count} jobs were cancelled; the others had finished.",
            cancelled,
        )
        self.message_user(request, text.format(count=cancelled))

    @admin.action(description=_("Run again, with the same seeds"), permissions=["steer"])
    def run_selected_again(self, request, queryset):
        for job in queryset.order_by("pk"):
            self._run_again(request, job)

    def _run_again(self, request, job, key=None) -> Job | None:
        if again := orders.find_job(key):
            return again
        try:
            again = orders.create_job(replace(choosing.same_order(job), idempotency_key=key))
        except (orders.CantRunAgain, *orders.REFUSALS) as error:
            text = gettext("{code} can't be run again. {reason}").format(code=job.code, reason=error)
            self.message_user(request, text, messages.ERROR)
            return None
        self.message_user(
            request, gettext("{code} runs again as {new}.").format(code=job.code, new=again.code)
        )
        return again

    # --- one job's page -------------------------------------------------------------------------------------

    def change_view(self, request, object_id, form_url="", extra_context=None):
        job = self.get_object(request, object_id)
        panel = job and self.has_view_permission(request, job) and job_panel.context(job, request)
        context = {**(panel or {}), **(extra_context or {})}
        return super().change_view(request, object_id, form_url, context)

    def get_urls(self):
        page, name = self.admin_site.admin_view, "diffuser_api_job"
        return [
            path("<int:pk>/panel/", page(require_GET(self.panel)), name=f"{name}_panel"),
            path("<int:pk>/small.jpg", page(require_GET(self.small_picture)), name=f"{name}_small"),
            path("<int:pk>/steps/<int:index>.png", page(require_GET(self.step_picture)), name=f"{name}_step"),
            path("<int:pk>/cancel/", page(require_POST(self.cancel)), name=f"{name}_cancel"),
            path("<int:pk>/again/", page(require_POST(self.again)), name=f"{name}_again"),
            *super().get_urls(),
        ]

    def _get(self, request, pk: int, may) -> Job:
        if not may(request):
            raise PermissionDenied
        return get_object_or_404(Job, pk=pk)

    def panel(self, request, pk):
        """The page's upper part alone, which its script asks for while the job isn't finished."""
        job = self._get(request, pk, self.has_view_permission)
        return TemplateResponse(request, "desk/job_panel.html", job_panel.context(job, request))

    def small_picture(self, request, pk):
        """The finished picture, for lists."""
        job = self._get(request, pk, self.has_view_permission)
        try:
            picture = open_stored(job.output)
        except OSError as error:
            raise Http404 from error
        content = small_for_staff(picture, SMALL_SIDE)
        headers = {"Cache-Control": "private, max-age=300"}
        return HttpResponse(content, content_type="image/jpeg", headers=headers)

    def step_picture(self, request, pk, index):
        """What a step of a running job has painted."""
        job = self._get(request, pk, self.has_view_permission)
        if index > len(ORDER):
            raise Http404
        try:
            file = working_files.open_picture(job, index)
        except OSError as error:
            raise Http404 from error
        return FileResponse(file, content_type="image/png", headers={"Cache-Control": "private, no-store"})

    def cancel(self, request, pk):
        job = self._get(request, pk, self.has_steer_permission)
        if status_changes.cancel(job.code):
            self.message_user(request, gettext("{code} was cancelled.").format(code=job.code))
        else:
            text = gettext("{code} had finished already.").format(code=job.code)
            self.message_user(request, text, messages.WARNING)
        return HttpResponseRedirect(reverse("admin:diffuser_api_job_change", args=[pk]))

    def again(self, request, pk):
        job = self._get(request, pk, self.has_steer_permission)
        again = self._run_again(request, job, once.key_of(request))
        return HttpResponseRedirect(reverse("admin:diffuser_api_job_change", args=[(again or job).pk]))
