// The five photos: shown and judged one by one, before they are sent. The form's own file input holds those
// that are sent, so that sending is the browser's work with or without this file.
"use strict";
(() => {
  const form = document.querySelector("form.photos");
  if (!form) return;
  const words = form.dataset, input = form.querySelector("#images"), tiles = form.querySelector("#tiles");
  const reasons = form.querySelector("#reasons"), said = document.querySelector("#said"), FIVE = 5;
  let photos = []; // {file, tile, text, image, remove}
  input.required = false; // too few are said below

  // Most browsers know no type of HEIC, which the form takes.
  const isPicture = (file) => file.type.startsWith("image/") || /\.hei[cf]$/i.test(file.name);

  function say(text) { said.textContent = text; }

  function tell(text) { // for all to see, beneath the photos; nothing takes away what was there
    reasons.replaceChildren();
    if (!text) return;
    const list = document.createElement("ul"), line = document.createElement("li");
    line.textContent = text;
    list.append(line);
    reasons.append(list);
  }

  function keep() { // what the form sends is what is shown
    const files = new DataTransfer();
    photos.forEach((photo) => files.items.add(photo.file));
    input.files = files.files;
    tiles.hidden = !photos.length;
    photos.forEach((photo, index) => {
      const name = `${words.photo} ${index + 1}`;
      photo.image.alt = name;
      photo.remove.setAttribute("aria-label", `${words.remove} ${index + 1}`);
    });
  }

  function mark(photo, state, text) {
    photo.tile.className = state;
    photo.text.textContent = text;
    if (state) say(`${photo.image.alt}: ${text}`);
  }

  function add(file) {
    const tile = document.createElement("li"), image = document.createElement("img");
    const remove = document.createElement("button"), text = document.createElement("p");
    image.src = URL.createObjectURL(file);
    image.onload = image.onerror = () => URL.revokeObjectURL(image.src);
    remove.type = "button";
    remove.textContent = "×";
    tile.append(image, text, remove);
    tiles.append(tile);
    const photo = { file, tile, text, image, remove };
    remove.addEventListener("click", () => {
      drop(photo);
      (photos.at(-1)?.remove ?? input).focus();
    });
    photos.push(photo);
    return photo;
  }

  function drop(photo) {
    photos = photos.filter((other) => other !== photo);
    photo.tile.remove();
    keep();
    tell(""); // what was said of other photos is over
  }

  async function judge(photo) { // accepted is null when it could not be looked at
    mark(photo, "", words.looking);
    const body = new FormData();
    body.append("image", photo.file);
    body.append("csrfmiddlewaretoken", form.querySelector("[name=csrfmiddlewaretoken]").value);
    try {
      const answer = await fetch(words.check, { method: "POST", body });
      if (!answer.ok) throw new Error(answer.status);
      const { accepted, findings } = await answer.json();
      const text = findings.map((finding) => finding.message).join(" ") || words.good;
      mark(photo, accepted ? "good" : "bad", text);
      return { accepted, text };
    } catch {
      mark(photo, "", words.failed);
      return { accepted: null, text: words.failed };
    }
  }

  async function take(files) {
    const room = FIVE - photos.length, chosen = [...files].slice(0, room);
    const added = chosen.map(add);
    keep();
    tell(files.length > room ? words.tooMany : "");
    for (const photo of added) await judge(photo); // one at a time: the server looks at each in a process
  }

  input.addEventListener("change", () => {
    const files = [...input.files];
    keep();
    take(files);
  });
  const camera = form.querySelector("#camera");
  camera.addEventListener("change", () => { take([...camera.files]); camera.value = ""; });

  const area = form.querySelector("#drop");
  for (const [name, over] of [["dragover", true], ["dragleave", false], ["drop", false]])
    area.addEventListener(name, (event) => {
      event.preventDefault();
      area.classList.toggle("over", over);
      if (name === "drop") take([...event.dataTransfer.files].filter(isPicture));
    });

  // For the live camera, whose photos come one by one.
  form.photos = {
    count: () => photos.length, judge, drop, tell, say,
    add(file) {
      const photo = add(file);
      keep();
      tell("");
      return photo;
    },
  };

  // Too few: said here, without asking the server.
  form.addEventListener("htmx:beforeRequest", (event) => {
    tell("");
    const missing = FIVE - photos.length;
    if (missing <= 0) return say(words.sent);
    event.preventDefault();
    tell(`${words.more} ${missing}`);
  });
  // What the server refused is marked on the photo too.
  form.addEventListener("htmx:afterSwap", () => {
    for (const reason of reasons.querySelectorAll("[data-index]")) {
      const photo = photos[reason.dataset.index - 1];
      if (photo) mark(photo, "bad", reason.lastChild.textContent.trim());
    }
  });
})();
