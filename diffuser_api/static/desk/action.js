// An action's page: each shot's picture is sent to be looked at, and what is proposed of it can be corrected.

import { Editor } from "./editor.js";
import { guardPage, nameOf, onFiles, setFile } from "./files.js";
import { ask, sendByScript } from "./server.js";

const MASKS_AFTER = 250; // milliseconds that no joint has moved
const template = document.getElementById("desk-editor");

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
    const canvas = part.querySelector("canvas");
    canvas.setAttribute("aria-label", `Pose and masks of shot ${section.getAttribute("aria-label").split(" ").at(-1)}: arrow keys move the chosen joint, Delete takes it out`);
    this.editor = new Editor(canvas, drawing, (what) => this.#changed(what));
    for (const [name, group] of [["mode", ".desk-modes"], ["brush", ".desk-for-masks"]]) {
      for (const radio of part.querySelectorAll(`${group} [type=radio]`)) radio.name = `desk-${name}-${section.id}`;
    }
    drawing.names.forEach((name, k) => this.jointList.add(new Option(name, k)));
    this.#listen();
  }

  field(name) {
    return this.section.querySelector(`[name$="-${name}"]`);
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
    this.part.querySelector(".desk-for-joints").hidden = mode !== "joints";
    this.part.querySelector(".desk-for-masks").hidden = mode === "joints";
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

  /** Has the picture looked at; what was proposed, or null. */
  take(file) {
    this.status.textContent = "Looking at the picture ...";
    this.part.setAttribute("aria-busy", "true");
    const body = new FormData();
    body.append("picture", file);
    const taken = ask(template.dataset.propose, body)
      .then(async (found) => {
        this.name = nameOf(file) || "shot";
        this.made = this.moved = true;
        this.brushed = new Set();
        await this.#load(found);
        return found;
      })
      .catch((error) => void (this.status.textContent = error.message))
      .finally(() => this.part.removeAttribute("aria-busy"));
    this.busy = taken;
    return taken;
  }

  async #load(found) {
    this.found = found;
    this.fromJoints = !found.has_outline && this.made;
    this.part.classList.add("desk-loaded");
    this.tools.hidden = false;
    await this.editor.load(found);
    this.#show();
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
      this.waiting = setTimeout(() => (this.busy = this.#masksFromJoints()), MASKS_AFTER);
    }
    this.#show();
  }

  #show() {
    const { editor } = this;
    this.jointList.value = editor.chosen;
    this.part.querySelector("[data-do=toggle]").textContent = editor.joints[editor.chosen].seen ? "Take it out" : "Put it in";
    this.part.querySelector("[data-do=undo]").disabled = !editor.history.length;
    const { missing } = editor;
    const masks = this.found.has_outline ? "the masks follow the person's outline" : "the masks follow the joints";
    if (missing.length === this.drawing.names.length) {
      this.status.textContent = "No person was found. Drag the dotted joints to where they are.";
    } else if (missing.length) {
      this.status.textContent = `${18 - missing.length} of 18 joints. Not in the picture: ${missing.join(", ")}. Drag a dotted one into place if it is.`;
    } else this.status.textContent = this.made ? `All 18 joints were found; ${masks}.` : "All 18 joints are there.";
    editor.draw();
  }

  // --- into the form ----------------------------------------------------------------------------------------

  async fill() {
    await this.busy;
    if (this.waiting) {
      clearTimeout(this.waiting);
      await this.busy;
    }
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

  /** The nearest of several pictures is the close shot, the farthest the far one; a single one is what it looks like. */
  const share = async (files) => {
    const free = shots.filter((shot) => shot.isEmpty);
    const taken = files.slice(0, free.length);
    status.textContent = files.length > taken.length ? "There are three shots; pictures beyond that were left out." : "";
    const found = await Promise.all(taken.map((file, k) => free[k].take(file)));
    const used = taken.map((_, k) => free[k]).filter((_, k) => found[k]);
    const types = free.map((shot) => shot.field("shot_type").value);
    const order = used.slice().sort((a, b) => b.found.nearness - a.found.nearness);
    const rank = ["CLS", "MES", "FUS"].filter((type) => types.includes(type));
    if (order.length === 1 && rank.includes(order[0].found.shot_type)) {
      const [shot] = order;
      const other = free.find((one) => one.field("shot_type").value === shot.found.shot_type);
      other.field("shot_type").value = shot.field("shot_type").value;
      shot.field("shot_type").value = shot.found.shot_type;
    } else {
      const chosen = rank.slice(0, order.length);
      order.forEach((shot, k) => (shot.field("shot_type").value = chosen[k]));
      const left = rank.filter((type) => !chosen.includes(type));
      free.filter((shot) => !order.includes(shot)).forEach((shot, k) => (shot.field("shot_type").value = left[k]));
    }
  };

  onFiles(zone, chooser, share);
  zone.querySelector("button").addEventListener("click", () => chooser.click());
  zone.hidden = !shots.some((shot) => shot.isEmpty);
  guardPage();
  sendByScript(document.getElementById("action_form"), () => Promise.all(shots.map((shot) => shot.fill())));
}
