// What every page of the studio does beside htmx: says what changed, minds the connection, lays the figure over
// the place. All of it is a convenience; the forms work without.
"use strict";
document.documentElement.classList.add("js");
const one = (selector, within = document) => within.querySelector(selector);

// --- a form is sent once; a page that the browser has kept may be sent again ---
addEventListener("submit", (event) => {
  if (event.target.method !== "post" || event.defaultPrevented || "download" in event.target.dataset) return;
  if (event.target.dataset.sent) return event.preventDefault();
  event.target.dataset.sent = "yes";
  setTimeout(() => delete event.target.dataset.sent, 5000); // the visitor has stopped the loading, say
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// --- the connection: htmx asks again by itself, the visitor is told ---
function lost(text) {
  const notice = one("#lost");
  if (notice.textContent !== text) notice.textContent = text;
}
document.addEventListener("htmx:sendError", () => lost(one("#lost").dataset.lost));
document.addEventListener("htmx:responseError", (event) => {
  const status = event.detail.xhr.status;
  if (status === 429) lost(one("#lost").dataset.busy);
  else if (status >= 500) lost(one("#lost").dataset.lost);
});
document.addEventListener("htmx:beforeSwap", () => lost(""));
document.addEventListener("htmx:afterRequest", (event) => { if (event.detail.successful) lost(""); });

// --- what a screen reader hears: the state when it changes, not every percent ---
document.addEventListener("htmx:afterSwap", () => {
  const said = one("[data-say]")?.dataset.say;
  if (said && one("#said").textContent !== said) one("#said").textContent = said;
  begin();
  beginSharing();
});

// --- the postcard: place and figure as they are chosen ---
function show() {
  const form = one("form.postcard");
  if (!form) return;
  const shot = one("[name=shot]:checked", form)?.value;
  const place = one("[name=place]:checked + span img", form);
  if (place) one(".stage .place", form).src = place.getAttribute("src");
  const words = one("[name=how]:checked", form)?.value === "words";
  const chosen = one("[name=action]:checked", form)?.closest(".choice");
  one("#no-shot", form).hidden = words || !chosen || chosen.classList.contains(`has-${shot}`);
  const figure = words
    ? one("#picked [data-figure]", form)?.dataset.figure
    : one("[name=action]:checked", form)?.closest(".choice").querySelector(`.shot.${shot}`)?.dataset.figure;
  const image = one(".stage .figure", form);
  image.hidden = !figure;
  if (figure && image.getAttribute("src") !== figure) image.src = figure;
}
one("form.postcard")?.addEventListener("change", show);

// What was chosen outlives a reload and another language; it is over when the form is sent.
function keepChoices() {
  const form = one("form.postcard"), key = `choices ${location.pathname}${location.search}`;
  if (!form) return;
  const fields = () => [...form.elements].filter((field) => field.name && !/^(csrf|form_key|preview)/.test(field.name));
  const kept = one("#problems") ? null : JSON.parse(sessionStorage.getItem(key));
  for (const field of kept ? fields() : []) {
    if (field.type === "radio") field.checked = kept[field.name] === field.value;
    else if (field.name in kept) field.value = kept[field.name];
  }
  form.addEventListener("input", () => sessionStorage.setItem(key, JSON.stringify(Object.fromEntries(new FormData(form)))));
  form.addEventListener("submit", () => sessionStorage.removeItem(key));
}
keepChoices();
document.addEventListener("htmx:afterSwap", show);

// --- a picture to check: the browser's own control would speak the browser's language, not the page's ---
const image = one("#image");
if (image) image.required = false; // the server's answer says it
image?.addEventListener("change", () => {
  const [file] = image.files, chosen = one("#chosen");
  chosen.dataset.none ??= chosen.textContent;
  chosen.textContent = file?.name ?? chosen.dataset.none;
});

// --- a finished picture: before and after, and the link ---
function begin() {
  const slider = one("#slider");
  if (!slider || slider.dataset.ready) return;
  slider.dataset.ready = "yes";
  slider.addEventListener("input", () => slider.closest(".compare").style.setProperty("--share", `${slider.value}%`));
}
function beginSharing() {
  const share = one("#share"), link = one("#link");
  if (!share || share.dataset.ready) return;
  share.dataset.ready = "yes";
  share.addEventListener("click", async () => {
    if (navigator.share) return navigator.share({ title: share.dataset.title, url: link.value }).catch(() => {});
    link.select();
    try { await navigator.clipboard.writeText(link.value); } catch { document.execCommand("copy"); }
    one("#said").textContent = "";
    share.textContent = one("#said").textContent = share.dataset.done;
  });
}
begin();
beginSharing();
show();
