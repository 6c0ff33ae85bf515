// An action's page: each shot's picture is sent to be looked at, and what is proposed of it can be corrected.

import { Editor } from "./editor.js";
import { guardPage, nameOf, onFiles, setFile } from "./files.js";
import { ask, sendByScript } from "./server.js";

const TYPES = ["CLS", "MES", "FUS"]; // from near to far
const MASKS_AFTER = 250; // milliseconds that no joint has moved
const template = document.getElementById("desk-editor");

/** What the server sees in a picture. */
function propose(file) {
  const body = new FormData();
  body.append("picture", file);
  return ask(template.dataset.propose, body);
}

/** One shot: its part of the form, and the editor over it. */
class Shot {
  constructor(section, drawing) {
    Object.assign(this, { section, drawing, made: false, moved: false, brushed: new Set(), busy: Promise.resolve() });
    const part = template.content.cloneNode(true).firstElementChild;
    section.querySelector(".desk-files").before(part);
    section.querySelector(".desk-files").open = false;
    this.part = part;
    this.status = part.querySelector("[role=status]");
    this.tools = part.querySelector(".desk-tools");
    this.chooser = part.querySelector("input[type=file]");
    this.jointList = part.querySelector("select");
    this.editor = new Editor(part.querySelector("canvas"), drawing, (what) => this.#changed(what));
    this.#sayKeys();
    for (const [name, group] of [["mode", ".desk-modes"], ["brush", ".desk-for-masks"]]) {
      for (const radio of part.querySelectorAll(`${group} [type=radio]`)) radio.name = `desk-${name}-${section.id}`;
    }
    drawing.names.forEach((name, k) => this.jointList.add(new Option(name, k)));
    this.#listen();
  }

  field(name) {
    return this.section.querySelector(`[name$="-${name}"]`);
  }

  get isDrawn() {
    return this.made || this.moved || this.brushed.size > 0;
  }

  get isEmpty() {
    return !this.section.dataset.stored && !this.made;
  }

  #listen() {
    onFiles(this.part.querySelector(".desk-stage"), this.chooser, ([file]) => file && this.take(file));
    const does = {
      choose: () => this.chooser.click(),
      undo: () => (this.editor.undo(), this.#changed("undone")),
      masks: () => (this.editor.remember(), this.#masksFromJoints()),
      toggle: () => this.editor.toggle(),
      larger: () => this.#resize(),
    };
    this.part.addEventListener("click", ({ target }) => does[target.dataset.do]?.());
    this.part.addEventListener("change", ({ target }) => {
      if (target.name.startsWith("desk-mode")) this.#setMode(target.value);
      if (target.name.startsWith("desk-brush")) this.editor.erasing = target.value === "erase";
    });
    this.part.querySelector("[type=range]").addEventListener("input", ({ target }) => (this.editor.brush = Number(target.value)));
    this.jointList.addEventListener("change", () => {
      this.editor.chosen = Number(this.jointList.value);
      this.#show();
    });
  }

  #setMode(mode) {
    this.editor.mode = mode;
    this.#sayKeys();
    this.part.querySelector(".desk-for-joints").hidden = mode !== "joints";
    this.part.querySelector(".desk-for-masks").hidden = mode === "joints";
    this.editor.draw();
  }

  #sayKeys() {
    const shot = this.section.getAttribute("aria-label").split(" ").at(-1);
    const keys =
      this.editor.mode === "joints"
        ? gettext("Pose of shot %s: arrow keys move the chosen joint, with Shift farther; Delete takes it out")
        : gettext("Masks of shot %s: arrow keys move the brush, with Shift farther; with the space bar held it paints");
    this.editor.canvas.setAttribute("aria-label", interpolate(keys, [shot]));
  }

  #resize() {
    const isLarge = this.section.classList.toggle("desk-larger");
    this.part.querySelector("[data-do=larger]").textContent = isLarge ? gettext("Smaller") : gettext("Larger");
    this.editor.draw();
  }

  // --- from the server --------------------------------------------------------------------------------------

  /** What is stored of this shot. */
  async loadStored() {
    try {
      await this.#load(await ask(this.section.dataset.stored));
    } catch (error) {
      this.status.textContent = error.message;
    }
  }

  /** Has the picture looked at, and shows what was proposed. */
  take(file) {
    this.status.textContent = gettext("Looking at the picture ...");
    this.part.setAttribute("aria-busy", "true");
    this.busy = propose(file)
      .then((found) => this.put(file, found))
      .catch((error) => (this.status.textContent = error.message))
      .finally(() => this.part.removeAttribute("aria-busy"));
  }

  async put(file, found) {
    this.name = nameOf(file) || "shot";
    this.made = this.moved = true;
    this.brushed = new Set();
    await this.#load(found);
  }

  async #load(found) {
    this.found = found;
    this.fromJoints = !found.has_outline && this.made;
    this.part.classList.add("desk-loaded");
    this.tools.hidden = false;
    await this.editor.load(found);
    this.#show();
  }

  #masksAreDue() {
    clearTimeout(this.waiting);
    this.waiting = null;
    this.busy = this.#masksFromJoints();
  }

  async #masksFromJoints() {
    const body = new FormData();
    body.append("joints", JSON.stringify(this.editor.pointsOrNull));
    body.append("width", this.editor.canvas.width);
    body.append("height", this.editor.canvas.height);
    try {
      await this.editor.setMasks(await ask(template.dataset.masks, body));
      this.brushed = new Set(["subject", "face"]);
      this.fromJoints = true;
      this.#show();
    } catch (error) {
      this.status.textContent = error.message;
    }
  }

  // --- what an editor does ----------------------------------------------------------------------------------

  #changed(what) {
    if (what === "joints" || what === "undone") this.moved = true;
    if (what === "masks") this.fromJoints = false;
    if (what === "masks" || what === "undone") this.brushed = new Set(["subject", "face"]);
    if (what === "joints" && this.fromJoints) {
      clearTimeout(this.waiting);
      this.waiting = setTimeout(() => this.#masksAreDue(), MASKS_AFTER);
    }
    this.#show();
  }

  #show() {
    const { editor } = this;
    this.jointList.value = editor.chosen;
    this.part.querySelector("[data-do=toggle]").textContent = editor.joints[editor.chosen].seen ? gettext("Take it out") : gettext("Put it in");
    this.part.querySelector("[data-do=undo]").disabled = !editor.history.length;
    const { missing } = editor;
    if (missing.length === this.drawing.names.length) {
      this.status.textContent = gettext("No person was found. Drag the dotted joints to where they are.");
    } else if (missing.length) {
      const which = missing.length > 3 ? missing.length : missing.join(", ");
      const text = gettext("Joints that are not in the picture: %s. If one is, drag its dotted circle into place.");
      this.status.textContent = interpolate(text, [which]);
    } else if (!this.made) this.status.textContent = gettext("All 18 joints are there.");
    else if (this.found.has_outline) this.status.textContent = gettext("All 18 joints were found; the masks follow the person's outline.");
    else this.status.textContent = gettext("All 18 joints were found; the masks follow the joints.");
    editor.draw();
  }

  // --- into the form ----------------------------------------------------------------------------------------

  async fill() {
    if (this.waiting) this.#masksAreDue();
    await this.busy;
    const { editor } = this;
    if (!editor.picture) return;
    const stem = this.name || "shot";
    if (this.made) {
      const blob = await (await fetchData(this.found.picture)).blob();
      setFile(this.field("image"), new File([blob], `${stem}.jpg`, { type: blob.type }));
      this.field("kind").value = this.found.kind;
    }
    if (this.moved) this.field("joints").value = JSON.stringify(editor.pointsOrNull);
    for (const name of ["subject", "face"]) {
      if (!this.made && !this.brushed.has(name)) continue;
      setFile(this.field(`${name}_mask`), await editor.maskFile(name, `${stem}-${name}-mask.png`));
    }
  }
}

/** A data: URL as a response; fetch itself may not open it under the page's security policy. */
async function fetchData(url) {
  const [head, data] = url.split(",");
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  return new Response(bytes, { headers: { "Content-Type": /^data:([^;]*)/.exec(head)[1] } });
}

if (template) {
  const drawing = JSON.parse(document.getElementById("desk-drawing").textContent);
  const shots = [...document.querySelectorAll(".desk-shot")].map((section) => new Shot(section, drawing));
  for (const shot of shots) if (shot.section.dataset.stored) shot.loadStored();

  const zone = document.getElementById("desk-drop");
  const status = zone.querySelector("[role=status]");
  const chooser = zone.querySelector("input");

  const typeOf = (shot) => shot.field("shot_type").value;
  const free = () => shots.filter((shot) => shot.isEmpty);

  /** The nearest of several pictures is the close shot, the farthest the far one; one alone is what it looks like. */
  const share = async (files) => {
    const taken = files.slice(0, free().length);
    zone.setAttribute("aria-busy", "true");
    status.textContent = taken.length > 1 ? gettext("Looking at the pictures ...") : gettext("Looking at the picture ...");
    const refused = [];
    const looked = await Promise.all(
      taken.map((file) => propose(file).then((found) => ({ file, found }), (error) => void refused.push(`${file.name}: ${error.message}`))),
    );
    const seen = looked.filter(Boolean).sort((a, b) => b.found.nearness - a.found.nearness);
    const room = TYPES.flatMap((type) => free().filter((shot) => typeOf(shot) === type));
    const alone = seen.length === 1 && room.find((shot) => typeOf(shot) === seen[0].found.shot_type);
    await Promise.all(seen.map(({ file, found }, k) => (alone || room[k]).put(file, found)));
    if (files.length > taken.length) refused.push(gettext("There are three shots; pictures beyond that were left out."));
    status.textContent = refused.join(" ");
    zone.removeAttribute("aria-busy");
    zone.hidden = !free().length && !refused.length;
  };

  onFiles(zone, chooser, share);
  zone.querySelector("button").addEventListener("click", () => chooser.click());
  zone.hidden = !free().length;
  guardPage();
  sendByScript(document.getElementById("action_form"), () => Promise.all(shots.map((shot) => shot.fill())), () => shots.some((shot) => shot.isDrawn));
}
