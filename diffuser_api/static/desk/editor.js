// The canvas on which joints are dragged and masks are brushed, over the picture that they belong to.

const TINTS = { subject: "rgb(64 160 255)", face: "rgb(255 176 32)" };
const UNDOS = 30;

function canvasOf(width, height) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  return canvas;
}

export async function imageOf(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

/** A mask's white as opaque, its black as transparent, so that it can be tinted and brushed. */
function layerOf(image, width, height) {
  const layer = canvasOf(width, height);
  const context = layer.getContext("2d", { willReadFrequently: true });
  if (!image) return layer;
  context.drawImage(image, 0, 0, width, height);
  const pixels = context.getImageData(0, 0, width, height);
  for (let k = 0; k < pixels.data.length; k += 4) {
    pixels.data[k + 3] = pixels.data[k] > 127 ? 255 : 0;
    pixels.data[k] = pixels.data[k + 1] = pixels.data[k + 2] = 255;
  }
  context.putImageData(pixels, 0, 0);
  return layer;
}

const isEmpty = (layer) =>
  !layer.getContext("2d").getImageData(0, 0, layer.width, layer.height).data.some((value, k) => k % 4 === 3 && value > 127);

export class Editor {
  /** `drawing`: names, limbs and colours of the joints. `onChange(what)`: "joints" when one was moved, else "masks". */
  constructor(canvas, drawing, onChange) {
    Object.assign(this, { canvas, drawing, onChange, mode: "joints", erasing: false, brush: 6, chosen: 0, history: [] });
    this.context = canvas.getContext("2d");
    this.masks = {};
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => this.#up());
    canvas.addEventListener("pointerleave", () => ((this.cursor = null), this.draw()));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("keyup", (event) => event.key === " " && this.#endKeyStroke());
    canvas.addEventListener("focus", () => this.draw());
    canvas.addEventListener("blur", () => (this.#endKeyStroke(), this.draw()));
  }

  /** What the server proposed, or what is stored. */
  async load(found) {
    const [width, height] = found.size;
    const load = (url) => (url ? imageOf(url) : null);
    const [picture, subject, face] = await Promise.all([found.picture, found.subject_mask, found.face_mask].map(load));
    [this.canvas.width, this.canvas.height] = [width, height];
    this.picture = picture;
    this.joints = found.joints.map(([x, y, seen]) => ({ x, y, seen }));
    this.masks = { subject: layerOf(subject, width, height), face: layerOf(face, width, height) };
    this.history = [];
    this.draw();
  }

  async setMasks(found) {
    const { width, height } = this.canvas;
    for (const [name, url] of [["subject", found.subject_mask], ["face", found.face_mask]]) {
      this.masks[name] = layerOf(await imageOf(url), width, height);
    }
    this.draw();
  }

  get pointsOrNull() {
    return this.joints.map(({ x, y, seen }) => (seen ? [Math.round(x * 10) / 10, Math.round(y * 10) / 10] : null));
  }

  get missing() {
    return this.drawing.names.filter((_, k) => !this.joints[k].seen);
  }

  isMaskEmpty(name) {
    return isEmpty(this.masks[name]);
  }

  /** The mask as a PNG file, white on black. */
  async maskFile(name, fileName) {
    const { width, height } = this.canvas;
    const flat = canvasOf(width, height);
    const context = flat.getContext("2d");
    context.fillRect(0, 0, width, height);
    context.drawImage(this.masks[name], 0, 0);
    const blob = await new Promise((done) => flat.toBlob(done, "image/png"));
    return new File([blob], fileName, { type: "image/png" });
  }

  remember() {
    const { width, height } = this.canvas;
    const copy = (layer) => {
      const made = canvasOf(width, height);
      made.getContext("2d", { willReadFrequently: true }).drawImage(layer, 0, 0);
      return made;
    };
    this.history.push({
      joints: this.joints.map((joint) => ({ ...joint })),
      masks: Object.fromEntries(Object.entries(this.masks).map(([name, layer]) => [name, copy(layer)])),
    });
    if (this.history.length > UNDOS) this.history.shift();
  }

  undo() {
    const before = this.history.pop();
    if (!before) return;
    Object.assign(this, before);
    this.draw();
  }

  /** Takes the chosen joint out of the pose, or puts it in where it is thought to be, inside the picture. */
  toggle() {
    this.remember();
    const joint = this.joints[this.chosen];
    joint.seen = !joint.seen;
    if (joint.seen) this.#place(joint, joint.x, joint.y, 0.04);
    this.draw();
    this.onChange("joints");
  }

  // --- drawing ----------------------------------------------------------------------------------------------

  /** Canvas pixels of one pixel on the screen. */
  get scale() {
    return this.canvas.width / (this.canvas.clientWidth || this.canvas.width);
  }

  draw() {
    if (!this.picture) return;
    const { context, canvas } = this;
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(this.picture, 0, 0, canvas.width, canvas.height);
    for (const name of ["subject", "face"]) this.#drawMask(name);
    this.#drawPose();
    if (this.cursor && this.mode !== "joints") this.#drawBrush();
  }

  #drawMask(name) {
    const { width, height } = this.canvas;
    const tinted = canvasOf(width, height);
    const context = tinted.getContext("2d");
    context.fillStyle = TINTS[name];
    context.fillRect(0, 0, width, height);
    context.globalCompositeOperation = "destination-in";
    context.drawImage(this.masks[name], 0, 0);
    this.context.globalAlpha = this.mode === name ? 0.6 : this.mode === "joints" ? 0.35 : 0.2;
    this.context.drawImage(tinted, 0, 0);
    this.context.globalAlpha = 1;
  }

  #drawPose() {
    const { context, drawing, joints, scale } = this;
    const colour = ([r, g, b]) => `rgb(${r} ${g} ${b})`;
    context.globalAlpha = this.mode === "joints" ? 1 : 0.35;
    context.lineCap = "round";
    drawing.limbs.forEach(([a, b], k) => {
      if (!joints[a].seen || !joints[b].seen) return;
      context.lineWidth = 4 * scale;
      context.strokeStyle = colour(drawing.colours[k]);
      context.beginPath();
      context.moveTo(joints[a].x, joints[a].y);
      context.lineTo(joints[b].x, joints[b].y);
      context.stroke();
    });
    joints.forEach((joint, k) => {
      context.beginPath();
      context.arc(joint.x, joint.y, 6 * scale, 0, 2 * Math.PI);
      context.setLineDash(joint.seen ? [] : [3 * scale, 3 * scale]);
      if (joint.seen) {
        context.fillStyle = colour(drawing.colours[k]);
        context.fill();
      }
      context.lineWidth = 3 * scale;
      context.strokeStyle = "black";
      context.stroke();
      context.lineWidth = 1.5 * scale;
      context.strokeStyle = "white";
      context.stroke();
    });
    context.setLineDash([]);
    if (this.mode === "joints" && document.activeElement === this.canvas) {
      const { x, y } = joints[this.chosen];
      context.lineWidth = 2 * scale;
      context.strokeStyle = "white";
      context.beginPath();
      context.arc(x, y, 11 * scale, 0, 2 * Math.PI);
      context.stroke();
    }
    context.globalAlpha = 1;
  }

  #drawBrush() {
    const { context, cursor, scale } = this;
    for (const [style, width] of [["black", 3], ["white", 1.5]]) {
      context.strokeStyle = style;
      context.lineWidth = width * scale;
      context.beginPath();
      context.arc(cursor.x, cursor.y, this.radius, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  // --- pointer and keys -------------------------------------------------------------------------------------

  /** Of the brush, canvas pixels; its number is in hundredths of the picture's longer side. */
  get radius() {
    return (this.brush / 200) * Math.max(this.canvas.width, this.canvas.height);
  }

  #at(event) {
    const box = this.canvas.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) / box.width) * this.canvas.width,
      y: ((event.clientY - box.top) / box.height) * this.canvas.height,
    };
  }

  #place(joint, x, y, margin = 0) {
    const { width, height } = this.canvas;
    joint.x = Math.min(Math.max(x, margin * width), (1 - margin) * width - 1);
    joint.y = Math.min(Math.max(y, margin * height), (1 - margin) * height - 1);
  }

  #nearest({ x, y }) {
    const far = this.joints.map((joint) => Math.hypot(joint.x - x, joint.y - y) + (joint.seen ? 0 : 2 * this.scale));
    const nearest = far.indexOf(Math.min(...far));
    return far[nearest] < 18 * this.scale ? nearest : -1;
  }

  #down(event) {
    if (!this.picture || event.button) return;
    const place = this.#at(event);
    if (this.mode === "joints") {
      const nearest = this.#nearest(place);
      if (nearest < 0) return;
      this.chosen = nearest;
      this.onChange("chosen");
    }
    this.canvas.setPointerCapture(event.pointerId);
    this.remember();
    this.pressed = this.moved = place;
    this.hasMoved = false;
    if (this.mode !== "joints") this.#stroke(place, place);
    this.draw();
  }

  #move(event) {
    const place = this.#at(event);
    this.cursor = place;
    if (!this.picture) return;
    if (this.pressed && this.mode === "joints") {
      if (Math.hypot(place.x - this.pressed.x, place.y - this.pressed.y) > 3 * this.scale) this.hasMoved = true;
      if (this.hasMoved) {
        const joint = this.joints[this.chosen];
        joint.seen = true;
        this.#place(joint, place.x, place.y);
      }
    } else if (this.pressed) this.#stroke(this.moved, place);
    this.moved = place;
    this.canvas.style.cursor = this.mode !== "joints" ? "none" : this.#nearest(place) < 0 ? "default" : "grab";
    this.draw();
  }

  #up() {
    if (!this.pressed) return;
    this.pressed = null;
    if (this.mode !== "joints") this.onChange("masks");
    else if (this.hasMoved) this.onChange("joints");
    else this.history.pop(); // a joint was only chosen
  }

  #stroke(from, to) {
    const context = this.masks[this.mode].getContext("2d");
    context.globalCompositeOperation = this.erasing ? "destination-out" : "source-over";
    context.strokeStyle = "white";
    context.lineCap = "round";
    context.lineWidth = 2 * this.radius;
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x + 0.01, to.y);
    context.stroke();
  }

  #key(event) {
    if ((event.ctrlKey || event.metaKey) && event.key === "z") {
      event.preventDefault();
      this.undo();
      this.onChange("undone");
      return;
    }
    if (!this.picture) return;
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (this.mode !== "joints") return this.#brushByKey(event, way);
    if (event.key === "Delete") this.toggle();
    if (!way) return;
    event.preventDefault();
    if (!event.repeat) this.remember();
    const joint = this.joints[this.chosen];
    const far = (event.shiftKey ? 10 : 2) * this.scale;
    joint.seen = true;
    this.#place(joint, joint.x + way[0] * far, joint.y + way[1] * far);
    this.draw();
    this.onChange("joints");
  }

  /** Arrows move the brush, and with the space bar down it paints. */
  #brushByKey(event, way) {
    if (!way && event.key !== " ") return;
    event.preventDefault();
    const { width, height } = this.canvas;
    const before = (this.cursor ??= { x: width / 2, y: height / 2 });
    if (way) {
      const far = (event.shiftKey ? 10 : 2) * this.scale;
      this.cursor = {
        x: Math.min(Math.max(before.x + way[0] * far, 0), width),
        y: Math.min(Math.max(before.y + way[1] * far, 0), height),
      };
    } else if (!this.keyStroke) {
      this.remember();
      this.keyStroke = true;
    }
    if (this.keyStroke) this.#stroke(before, this.cursor);
    this.draw();
  }

  #endKeyStroke() {
    if (!this.keyStroke) return;
    this.keyStroke = false;
    this.onChange("masks");
  }
}
