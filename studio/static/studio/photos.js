// The five photos: shown and judged one by one, before they are sent. The form's own file input holds those
// that are sent, so that sending is the browser's work with or without this file.
"use strict";
(() => {
  const form = document.querySelector("form.photos");
  if (!form) return;
  const words = form.dataset, input = form.querySelector("#images"), tiles = form.querySelector("#tiles");
  const reasons = form.querySelector("#reasons"), said = document.querySelector("#said"), FIVE = 5;
  let photos = []; // {file, tile, text, image, remove}, and when it was judged {own, seen}
  let comparison = 0; // the answer of an older one is dropped
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
    compare();
  }

  async function ask(url, fields) {
    const body = new FormData();
    for (const [name, value] of fields) body.append(name, value);
    body.append("csrfmiddlewaretoken", form.querySelector("[name=csrfmiddlewaretoken]").value);
    const answer = await fetch(url, { method: "POST", body });
    if (!answer.ok) throw new Error(answer.status);
    return answer.json();
  }

  async function judge(photo) { // accepted is null when it could not be looked at
    mark(photo, "", words.looking);
    try {
      const { accepted, findings, seen } = await ask(words.check, [["image", photo.file]]);
      photo.own = { accepted, messages: findings.map((finding) => finding.message) };
      photo.seen = seen;
    } catch {
      mark(photo, "", words.failed);
      return { accepted: null, text: words.failed };
    }
    return (await compare()).get(photo) ?? verdict(photo, []);
  }

  function verdict(photo, reasons) { // what was said of the photo alone, and beside the others
    if (!photo.own.accepted) return { accepted: false, text: photo.own.messages.join(" ") };
    const text = [...photo.own.messages, ...reasons.map((reason) => reason.message)].join(" ") || words.good;
    return { accepted: reasons.every((reason) => reason.accepted), text };
  }

  async function compare() { // copies and other people among all that are there: a new photo can change the verdict on an older one
    const mine = ++comparison, there = [...photos], verdicts = new Map();
    let reasons = [];
    try {
      if (there.length > 1) ({ reasons } = await ask(words.compare, there.map((photo) => ["seen", photo.seen ?? ""])));
    } catch { /* it is done again when all are sent */ }
    if (mine !== comparison) return verdicts;
    there.forEach((photo, index) => {
      if (!photo.own) return;
      const { accepted, text } = verdict(photo, reasons.filter((reason) => reason.index === index + 1));
      verdicts.set(photo, { accepted, text });
      const state = accepted ? "good" : "bad";
      if (photo.tile.className !== state || photo.text.textContent !== text) mark(photo, state, text);
    });
    return verdicts;
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
