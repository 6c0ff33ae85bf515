// Choosing and dropping files, and putting them into a form's own file fields.

export const isPicture = (file) => file.type.startsWith("image/") || /\.hei[cf]$/i.test(file.name);

/** Calls `take` with the pictures that are dropped on `zone`, or chosen by `input`. */
export function onFiles(zone, input, take) {
  let inside = 0; // dragenter and dragleave come for each element of the zone
  const mark = (by) => {
    inside = Math.max(0, inside + by);
    zone.classList.toggle("desk-dragged", inside > 0);
  };
  const hasFiles = (event) => [...event.dataTransfer.types].includes("Files");
  zone.addEventListener("dragenter", (event) => hasFiles(event) && (event.preventDefault(), mark(1)));
  zone.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
  zone.addEventListener("dragleave", (event) => hasFiles(event) && mark(-1));
  zone.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    event.stopPropagation();
    mark(-inside);
    take([...event.dataTransfer.files].filter(isPicture));
  });
  input.addEventListener("change", () => {
    const files = [...input.files];
    input.value = ""; // the same file may be chosen again
    if (files.length) take(files);
  });
}

/** A file that is dropped beside a drop zone must not take the browser away from the page. */
export function guardPage() {
  for (const name of ["dragover", "drop"]) {
    window.addEventListener(name, (event) => {
      if (event.target.type !== "file") event.preventDefault();
    });
  }
}

/** As if the file had been chosen in this file field. */
export function setFile(field, file) {
  const transfer = new DataTransfer();
  transfer.items.add(file);
  field.files = transfer.files;
  field.dispatchEvent(new Event("change", { bubbles: true }));
}

/** "porto_al-tramonto.JPG": "porto al tramonto" */
export const nameOf = (file) => file.name.replace(/\.[^.]*$/, "").replace(/[_-]+/g, " ").trim().slice(0, 100);
