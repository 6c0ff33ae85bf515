// File fields with a button and words in the page's language, where the browser would write its own.

document.documentElement.classList.add("desk-scripted");
document.addEventListener("change", ({ target }) => {
  const name = target.closest(".desk-file")?.querySelector(".desk-file-name");
  if (!name || target.type !== "file") return;
  name.dataset.none ??= name.textContent;
  name.textContent = [...target.files].map((file) => file.name).join(", ") || name.dataset.none;
});
