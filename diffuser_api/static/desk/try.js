// The preview follows the choice of place and action at once.

const form = document.getElementById("try");

if (form) {
  const picture = form.querySelector(".desk-preview img");
  form.querySelector("[name=show]").hidden = true;
  form.addEventListener("change", ({ target }) => {
    if (!["place", "shot"].includes(target.name)) return;
    const query = new URLSearchParams({ place: form.elements.place.value, shot: form.elements.shot.value });
    picture.src = `${form.dataset.preview}?${query}`;
  });
}
