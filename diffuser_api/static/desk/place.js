// A place's page: pictures that are dropped become rows of the form, each with a name taken from its file.

import { guardPage, nameOf, onFiles, setFile } from "./files.js";
import { sendByScript } from "./server.js";

const MOST = 60; // files in one request, as the server takes them
const group = document.getElementById("images-group");

if (group) {
  const zone = document.getElementById("desk-drop");
  const status = zone.querySelector("[role=status]");
  const chooser = zone.querySelector("input");
  const rows = () => [...group.querySelectorAll(".inline-related:not(.empty-form)")];
  const fieldOf = (row, name) => row.querySelector(`[name$="-${name}"]`);

  const freeRow = () => {
    const free = rows().find((row) => !row.classList.contains("has_original") && !fieldOf(row, "image").files.length);
    if (free) return free;
    group.querySelector(".add-row a").click();
    return rows().at(-1);
  };

  const take = (files) => {
    const room = MOST - rows().filter((row) => fieldOf(row, "image").files.length).length;
    const taken = files.slice(0, room).map((file) => {
      const row = freeRow();
      setFile(fieldOf(row, "image"), file);
      const name = fieldOf(row, "name");
      if (!name.value) name.value = nameOf(file);
      return row;
    });
    const rest = files.length - taken.length;
    status.textContent = rest ? interpolate(gettext("At most %s at once; left out: %s."), [MOST, rest]) : "";
    const next = taken.map((row) => fieldOf(row, "description")).find((field) => !field.value);
    if (next) next.focus();
  };

  onFiles(zone, chooser, take);
  zone.querySelector("button").addEventListener("click", () => chooser.click());
  zone.hidden = false;
  guardPage();

  group.addEventListener("change", ({ target }) => {
    if (target.type !== "file" || !target.name.endsWith("-image")) return;
    const place = target.closest(".inline-related").querySelector(".desk-place-picture");
    const [file] = target.files;
    if (!file) return;
    const picture = document.createElement("img");
    picture.alt = "";
    picture.src = URL.createObjectURL(file);
    picture.addEventListener("error", () => place.replaceChildren(file.name)); // HEIC, in most browsers
    place.replaceChildren(picture);
  });

  sendByScript(document.getElementById("poi_form"));
}
