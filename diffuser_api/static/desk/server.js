// Talking to the server: JSON in answers, the CSRF token in requests, sentences where something is wrong.

const LOGGED_OUT = () => gettext("You are no longer logged in, or may not do this. Log in in another tab, then do it again.");

/** The cookie's, which is a new one after somebody has logged in again in another tab. */
const token = () =>
  /(?:^|; )csrftoken=([^;]+)/.exec(document.cookie)?.[1] ?? document.querySelector("[name=csrfmiddlewaretoken]").value;

const failed = ({ status }) => interpolate(gettext("The server answered with an error (%s)."), [status]);

async function reach(url, options) {
  let answer;
  try {
    answer = await fetch(url, { ...options, redirect: "manual" });
  } catch {
    throw new Error(gettext("The server can't be reached; try again in a moment."));
  }
  if (answer.type === "opaqueredirect" || answer.status === 403) throw new Error(LOGGED_OUT());
  return answer;
}

/** The answer's JSON. Throws an Error whose message an editor can read. */
export async function ask(url, body) {
  const answer = await reach(url, body ? { method: "POST", body, headers: { "X-CSRFToken": token() } } : {});
  let said;
  try {
    said = await answer.json();
  } catch {
    throw new Error(failed(answer));
  }
  if (!answer.ok) throw new Error(said.message || failed(answer));
  return said;
}

/** Sends the form by script, so that an error costs none of what was chosen and drawn. `prepare` comes first.
 * The browser asks before it leaves a form that was changed. `isDrawn`: whether something was that is no field yet. */
export function sendByScript(form, prepare = async () => {}, isDrawn = () => false) {
  let isChanged = false;
  for (const name of ["input", "change"]) {
    form.addEventListener(name, ({ target }) => { if (target.name && !target.name.startsWith("desk-")) isChanged = true; });
  }
  window.addEventListener("beforeunload", (event) => { if (isChanged || isDrawn()) event.preventDefault(); });
  const hold = (isBusy) => {
    for (const button of form.querySelectorAll("[type=submit]")) button.disabled = isBusy;
    form.setAttribute("aria-busy", isBusy);
  };
  window.addEventListener("pageshow", () => hold(false)); // also when somebody comes back to it
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    hold(true);
    let isLeaving = false;
    try {
      await prepare();
      const body = new FormData(form);
      if (event.submitter) body.append(event.submitter.name, event.submitter.value);
      const place = await send(form, body);
      isLeaving = Boolean(place);
      if (!isLeaving) return;
      isChanged = false;
      isDrawn = () => false;
      window.location.assign(place);
    } catch (error) {
      showErrors(form, { "": [error.message] });
    } finally {
      if (!isLeaving) hold(false);
    }
  });
}

/** Where to go, when the server has saved the form; else what is wrong is shown. */
async function send(form, body) {
  body.set("csrfmiddlewaretoken", token());
  const answer = await reach(form.action, { method: "POST", body, headers: { "X-Desk": "1" } });
  const said = await answer.json().catch(() => {
    throw new Error(`${failed(answer)} ${gettext("Nothing was saved.")}`);
  });
  if (!said.location) showErrors(form, said.errors);
  return said.location;
}

/** Each field's sentences before the field; those of no field at the top. */
export function showErrors(form, errors) {
  for (const old of form.querySelectorAll(".errorlist, .errornote")) old.remove();
  for (const row of form.querySelectorAll(".errors")) row.classList.remove("errors");
  const note = document.createElement("p");
  note.className = "errornote";
  note.tabIndex = -1;
  const count = Object.keys(errors).length;
  note.textContent = errors[""] ? errors[""].join(" ") : interpolate(ngettext("Please correct the error below.", "Please correct the %s errors below.", count), [count]);
  form.prepend(note);
  for (const [name, sentences] of Object.entries(errors)) {
    if (!name) continue;
    const list = document.createElement("ul");
    list.className = "errorlist";
    for (const sentence of sentences) {
      const item = document.createElement("li");
      item.textContent = sentence;
      list.append(item);
    }
    const field = form.elements[name];
    const row = field && field.closest(".form-row");
    const shot = document.getElementById(/^images-\d+/.exec(name)?.[0]);
    if (row) {
      row.classList.add("errors");
      row.prepend(list);
      const hidden = row.closest("details");
      if (hidden) shot.prepend(list);
    } else (shot || document.getElementById(`${name}-group`) || form).prepend(list);
  }
  note.focus();
  note.scrollIntoView({ block: "center" });
}
