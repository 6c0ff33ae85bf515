"""An action with its three shots: the editor uploads a picture, and corrects the masks proposed for it."""

from __future__ import annotations

import base64
from pathlib import Path

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.files.images import get_image_dimensions
from django.http import HttpResponseRedirect, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_GET, require_POST

from diffuser_api.admin import trials
from diffuser_api.admin.in_languages import ShownWords, form_for
from diffuser_api.admin.joint_names import JOINT_NAMES
from diffuser_api.admin.pages import DeskAdmin, FileInput, module, thumbnail
from diffuser_api.catalogue import entrance, head_masks, proposals
from diffuser_api.models import Action, ActionImage, ShotType
from generation.poses.mask_drawing import height_of
from generation.poses.openpose import COLOURS, LIMBS

NOBODY = _(
    "No person was found. Place the joints by hand, which needs JavaScript, or upload a picture that shows "
    "the body clearly."
)
GONE = _("The picture is gone or broken; upload it again.")
UNREADABLE = _("The joints can't be read.")
# A body's standing height in heights of the picture, from which a shot is close, and medium.
CLOSE_FROM, MEDIUM_FROM = 1.1, 0.68


class ActionImageForm(forms.ModelForm):
    """One picture is enough: the skeleton, and masks that are missing, are made from it."""

    image = forms.FileField(label=_("picture"), widget=FileInput)
    kind = forms.ChoiceField(
        required=False,
        choices=[("", _("found out by looking")), *ActionImage.Kind.choices],
        label=_("it is"),
        help_text=_("A picture that is called a skeleton, with both masks given, is used as it is."),
    )
    joints = forms.CharField(required=False, widget=forms.HiddenInput)

    class Meta:
        model = ActionImage
        fields = ["shot_type", "image", "kind", "subject_mask", "face_mask", "joints"]
        widgets = dict.fromkeys(entrance.MASKS, FileInput)
        help_texts = {"face_mask": _("White on the head: the face, room for any hair, and the upper neck.")}
        field_classes = dict.fromkeys(entrance.MASKS, forms.FileField)  # an ImageField would decode them here

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        for field in entrance.MASKS:
            self.fields[field].required = False
        if self.instance.pk is None:
            self.initial["kind"] = ""

    def has_changed(self):
        """A new shot of which only the type was chosen is none yet."""
        return super().has_changed() and (self.instance.pk is not None or self.changed_data != ["shot_type"])

    def clean_joints(self):
        try:
            return proposals.read_joints(text) if (text := self.cleaned_data["joints"]) else None
        except (ValueError, TypeError) as error:
            raise ValidationError(UNREADABLE) from error

    def clean(self):
        """Makes the skeleton if joints were moved or the picture has changed, and masks that are missing."""
        values = super().clean()
        changed = {"image", "kind"} & set(self.changed_data) or not self.instance.skeleton
        if self.errors:
            return values
        stem = Path(values["image"].name).stem
        try:
            taken = self._take(values, with_image=bool(changed))
            if values["joints"]:
                self._draw(values, stem)
            elif changed:
                self._propose(values, stem, taken)
            self._fit_masks(values)
        except proposals.NoProposal as error:
            raise ValidationError({"image": str(error)}) from error
        values["kind"] = values["kind"] or self.instance.kind
        return values

    def _take(self, values: dict, with_image: bool) -> dict[str, bytes]:
        """The files through the catalogue's entrance; those that are new are put into ``values``.

        Raises ValidationError with a sentence for each that is refused.
        """
        is_skeleton = values["kind"] == ActionImage.Kind.SKELETON
        files = {mask: values[mask] for mask in entrance.MASKS if mask in self.changed_data and values[mask]}
        if with_image:
            files |= {"image": values["image"]} | ({"skeleton": values["image"]} if is_skeleton else {})
        wanted = [(entrance.kind_of(field, is_skeleton), file) for field, file in files.items()]
        try:
            taken = dict(zip(files, entrance.taken(wanted), strict=True))
        except OSError as error:
            raise proposals.NoProposal(GONE) from error
        refused = {field: str(file) for field, file in taken.items() if not isinstance(file, bytes)}
        if refused:
            refused.pop("skeleton", None)  # the same file as the image
            raise ValidationError(refused)
        for field in taken.keys() & set(self.changed_data):
            values[field] = entrance.as_file(taken[field], values[field].name)
        return taken

    def _draw(self, values: dict, stem: str) -> None:
        """The skeleton from joints that the editor has seen and perhaps moved."""
        skeleton = proposals.skeleton_of(values["joints"], _size_of(values["image"]))
        self.instance.skeleton = entrance.as_file(skeleton, f"{stem}-skeleton")

    def _propose(self, values: dict, stem: str, taken: dict[str, bytes]) -> None:
        if "skeleton" in taken and values["subject_mask"] and values["face_mask"]:
            self.instance.skeleton = entrance.as_file(taken["skeleton"], stem)
            return
        found = proposals.of_clean(taken["image"]) if values["kind"] else proposals.propose(values["image"])
        if found.skeleton is None:
            raise proposals.NoProposal(NOBODY)
        self.instance.skeleton = entrance.as_file(found.skeleton, f"{stem}-skeleton")
        values["image"] = entrance.as_file(found.picture, stem)
        values["kind"] = values["kind"] or found.kind
        for field in entrance.MASKS:
            if field not in self.changed_data:
                name = f"{stem}-{field.replace('_', '-')}"
                values[field] = entrance.as_file(getattr(found, field), name)

    def _fit_masks(self, values: dict) -> None:
        """New masks to the picture's size, which may be smaller than the photo on which they were drawn."""
        size = _size_of(values["image"])
        for field in entrance.MASKS:
            if field in self.changed_data and values[field]:
                content = entrance.fitted(values[field].read(), size)
                values[field] = entrance.as_file(content, values[field].name)


def _size_of(image) -> tuple[int, int]:
    size = get_image_dimensions(image)
    if None in size:
        raise proposals.NoProposal(GONE)
    return size


class ActionImageInline(admin.StackedInline):
    model = ActionImage
    form = ActionImageForm
    template = "desk/shots.html"
    max_num = len(ShotType)

    def get_extra(self, request, obj=None, **kwargs):
        return len(ShotType) - (obj.images.count() if obj else 0)


@admin.register(Action)
class ActionAdmin(ShownWords, DeskAdmin):
    form = form_for(Action, "name", "description")
    inlines = [ActionImageInline]
    list_display = ["shown_name", "shown_description", "shots", "try_it"]
    search_fields = ["name", "description"]
    change_form_template = "desk/action.html"
    actions = ["propose_head_masks"]

    class Media:
        css = {"all": ["desk/desk.css"]}
        js = [module("desk/action.js")]

    def get_queryset(self, request):
        return super().get_queryset(request).prefetch_related("images")

    def get_formset_kwargs(self, request, obj, inline, prefix):
        """Each new form has a shot type that isn't there yet."""
        kwargs = super().get_formset_kwargs(request, obj, inline, prefix)
        if isinstance(inline, ActionImageInline):
            there = set(obj.images.values_list("shot_type", flat=True)) if obj.pk else set()
            kwargs["initial"] = [{"shot_type": shot} for shot in ShotType.values if shot not in there]
        return kwargs

    def changeform_view(self, request, object_id=None, form_url="", extra_context=None):
        drawing = {"names": [str(name) for name in JOINT_NAMES], "limbs": LIMBS, "colours": COLOURS}
        action = self.get_object(request, object_id) if object_id and request.method == "GET" else None
        stored = action.images.all() if action else []
        hairless = [image.pk for image in stored if head_masks.leaves_out_hair(image)]
        shown = {name: ActionImage._meta.get_field(name).verbose_name for name in proposals.MADE}
        context = {"drawing": drawing, "shown": shown, "hairless": hairless}
        context |= extra_context or {}
        return super().changeform_view(request, object_id, form_url, context)

    @admin.display(description=_("shots"))
    def shots(self, action):
        images = action.images.all()
        pictures = (thumbnail("action-thumbnail", image.pk, "skeleton", 60) for image in images)
        return (
            format_html("{} {} {}", *[*pictures, "", "", ""][:3]) if images else gettext("none yet: add them")
        )

    @admin.display(description=_("try"))
    def try_it(self, action):
        images = list(action.images.all())
        url = reverse("admin:diffuser_api_action_try")
        label = gettext("Try it")
        return format_html('<a href="{}?shot={}">{}</a>', url, images[0].pk, label) if images else ""

    # --- face masks that leave out hair ---------------------------------------------------------------------

    @admin.action(permissions=["change"], description=_("Propose face masks that leave out hair anew"))
    def propose_head_masks(self, request, queryset):
        images = ActionImage.objects.filter(action__in=queryset)
        done = [
            image for image in images if head_masks.leaves_out_hair(image) and head_masks.propose_anew(image)
        ]
        text = gettext("Face masks that now hold the head with its hair: {count}.")
        self.message_user(request, text.format(count=len(done)))

    def head_mask(self, request, pk):
        """Of one stored shot: the face mask proposed anew."""
        if not self.has_change_permission(request):
            raise PermissionDenied
        image = get_object_or_404(ActionImage, pk=pk)
        if head_masks.propose_anew(image):
            text = gettext("The face mask of {shot} now holds the head with its hair.")
            self.message_user(request, text.format(shot=image))
        else:
            self.message_user(request, GONE, messages.ERROR)
        return HttpResponseRedirect(reverse("admin:diffuser_api_action_change", args=[image.action_id]))

    # --- saved, and on to trying it -------------------------------------------------------------------------

    def _to_trial(self, request, action):
        image = action.images.first()
        if "_try" not in request.POST or image is None:
            return None
        return HttpResponseRedirect(f"{reverse('admin:diffuser_api_action_try')}?shot={image.pk}")

    def response_add(self, request, obj, post_url_continue=None):
        return self._to_trial(request, obj) or super().response_add(request, obj, post_url_continue)

    def response_change(self, request, obj):
        return self._to_trial(request, obj) or super().response_change(request, obj)

    # --- for the page's script --------------------------------------------------------------------------

    def get_urls(self):
        page, name = self.admin_site.admin_view, "diffuser_api_action"
        return [
            path("propose/", page(require_POST(self.propose)), name=f"{name}_propose"),
            path("masks/", page(require_POST(self.masks)), name=f"{name}_masks"),
            path("shots/<int:pk>/", page(require_GET(self.stored)), name=f"{name}_stored"),
            path("shots/<int:pk>/head/", page(require_POST(self.head_mask)), name=f"{name}_head"),
            path("try/", page(trials.try_page), name=f"{name}_try"),
            path("try.png", page(trials.preview), name=f"{name}_preview"),
            *super().get_urls(),
        ]

    def _check(self, request):
        if not (self.has_add_permission(request) or self.has_change_permission(request)):
            raise PermissionDenied

    def propose(self, request):
        """Of one uploaded ``picture``: its joints and masks."""
        self._check(request)
        file = request.FILES.get("picture")
        if file is None:
            return JsonResponse({"message": gettext("Choose a picture first.")}, status=400)
        try:
            return JsonResponse(_as_json(proposals.propose(file)))
        except proposals.NoProposal as error:
            return JsonResponse({"message": str(error)}, status=400)

    def stored(self, request, pk):
        """Of a saved shot: what it holds."""
        self._check(request)
        try:
            return JsonResponse(_as_json(proposals.of_stored(get_object_or_404(ActionImage, pk=pk))))
        except proposals.NoProposal as error:
            return JsonResponse({"message": str(error)}, status=400)

    def masks(self, request):
        """Of ``joints`` that were moved: the masks."""
        self._check(request)
        try:
            joints = proposals.read_joints(request.POST.get("joints", ""))
            size = tuple(int(request.POST.get(side, "")) for side in ("width", "height"))
        except (ValueError, TypeError):
            size = (0, 0)
        if not all(0 < side <= 2 * proposals.MOST for side in size):
            return JsonResponse({"message": str(UNREADABLE)}, status=400)
        subject, face = proposals.masks_of(joints, size)
        return JsonResponse({"subject_mask": _url(subject), "face_mask": _url(face)})


def _url(content: bytes | None, kind: str = "png") -> str | None:
    return content and f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _as_json(found: proposals.Proposal) -> dict:
    share = height_of(found.joints) / found.size[1]
    kind = "png" if found.picture.startswith(b"\x89PNG") else "jpeg"
    return {
        "picture": _url(found.picture, kind),
        "size": found.size,
        "kind": found.kind,
        "joints": [[*place, seen] for place, seen in zip(found.places, found.seen, strict=True)],
        "has_outline": found.has_outline,
        "subject_mask": _url(found.subject_mask),
        "face_mask": _url(found.face_mask),
        "nearness": share,
        "shot_type": "CLS" if share > CLOSE_FROM else "MES" if share > MEDIUM_FROM else "FUS",
    }
