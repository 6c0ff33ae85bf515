"""LoRAs, with how near each checkpoint of their training came to the visitor's photos."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import OuterRef, Subquery
from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from diffuser_api.admin.jobs import CodeAdmin, small_picture
from diffuser_api.models import Job, LoraModel

TONES = {  # as generation/vision/skin.py names them
    "pale": pgettext_lazy("skin", "pale"),
    "light": pgettext_lazy("skin", "light"),
    "tan": pgettext_lazy("skin", "tan"),
    "dark": pgettext_lazy("skin", "dark"),
    "deep": pgettext_lazy("skin", "deep"),
}
WIDTH, LEFT, RIGHT, ROW = 640, 100, 110, 26  # of the chart, in its own units


@admin.register(LoraModel)
class LoraModelAdmin(CodeAdmin):
    list_display = ["code", "painted", "client", "created_at", "job"]
    search_fields = ["code"]
    fields = ["code", "file", "tone", "looks", "client", "visitor", "job", "created_at", "likeness"]

    class Media:
        css = {"all": ["desk/desk.css"]}

    def get_queryset(self, request):
        painted = Job.objects.filter(lora=OuterRef("pk"), status=Job.Status.SUCCEEDED).order_by("-pk")
        return super().get_queryset(request).annotate(painted_in=Subquery(painted.values("pk")[:1]))

    @admin.display(description=_("newest picture"))
    def painted(self, lora):
        return small_picture(lora.painted_in) if lora.painted_in else ""

    @admin.display(description=_("skin tone"))
    def tone(self, lora):
        return TONES.get(lora.skin_tone, lora.skin_tone) or "-"

    @admin.display(description=_("likeness"))
    def likeness(self, lora):
        return render_to_string("desk/likeness_chart.html", drawn) if (drawn := chart(lora)) else "-"


def chart(lora: LoraModel) -> dict | None:
    """A bar for the distance of each checkpoint that was compared; None where none was."""
    if not lora.distances:
        return None
    by_step = sorted((int(step), distance) for step, distance in lora.distances.items())
    space = (WIDTH - LEFT - RIGHT) / (max(distance for _, distance in by_step) or 1)
    rows = [
        {
            "step": step,
            "distance": distance,
            "chosen": step == lora.step,
            "width": round(distance * space, 1),
            "end": round(LEFT + distance * space + 6, 1),
            "y": place * ROW,
            "text_y": place * ROW + 17,
        }
        for place, (step, distance) in enumerate(by_step)
    ]
    return {"rows": rows, "width": WIDTH, "left": LEFT, "height": len(rows) * ROW}
