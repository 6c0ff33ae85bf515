// A job's panel is asked for anew, once a second, until the job is finished.

const panel = document.getElementById("job");

async function renew() {
  if (!panel.querySelector("[data-live]")) return;
  try {
    const answer = await fetch(panel.dataset.panel, { redirect: "manual" });
    if (answer.ok) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const focused = panel.contains(document.activeElement);
      panel.replaceChildren(...page.body.children);
      if (focused) panel.querySelector("button")?.focus();
    }
  } catch {
    // the server is being restarted: the next time it answers
  }
  setTimeout(renew, 1000);
}

if (panel) setTimeout(renew, 1000);
