// Photos from a live picture: an outline for the face, a countdown, and what the photo gate says after each shot.
// Where there is no camera, or the browser has none for us, the file chooser does the same.
"use strict";
(() => {
  const form = document.querySelector("form.photos"), box = document.querySelector("#live");
  if (!form || !navigator.mediaDevices?.getUserMedia) return;
  const find = (selector) => box.querySelector(selector), words = box.dataset;
  const video = find("video"), shoot = find("[data-shoot]"), verdict = find(".verdict"), count = find(".count");
  const hints = [...box.querySelectorAll(".hints li")], title = find("h2"), FIVE = 5, SECONDS = 3;
  const open = form.querySelector("#open-camera"), chooser = form.querySelector("#one-photo");
  const WANTED = { audio: false, video: { facingMode: "user", width: { ideal: 1280 }, height: { ideal: 960 } } };
  let stream = null, refused = null, run = 0; // another run for each opening: what belongs to an old one is dropped

  open.hidden = false;
  chooser.hidden = true;

  function say(text, kind = "") {
    verdict.textContent = text;
    verdict.className = `verdict ${kind}`;
  }

  function show() { // the hint for the photo that comes next
    const number = Math.min(form.photos.count(), FIVE - 1);
    title.textContent = `${words.photo} ${number + 1} ${words.of} ${FIVE}`;
    hints.forEach((hint, index) => { hint.hidden = index !== number; });
    box.classList.toggle("far", number === FIVE - 1);
  }

  function fallBack(error) { // the reason is shown where the photos are chosen
    box.close();
    const none = ["NotFoundError", "OverconstrainedError"].includes(error.name);
    form.photos.tell(error.name === "NotAllowedError" ? words.denied : none ? words.none : words.busy);
    chooser.hidden = false;
    open.hidden = none;
  }

  async function begin() {
    const mine = ++run;
    box.showModal();
    show();
    say(words.starting);
    shoot.disabled = true;
    try {
      const found = await navigator.mediaDevices.getUserMedia(WANTED);
      if (mine !== run) return found.getTracks().forEach((track) => track.stop()); // closed meanwhile
      stream = found;
      video.srcObject = stream;
      await video.play();
    } catch (error) {
      if (mine === run) fallBack(error);
      return;
    }
    shoot.disabled = false;
    say("");
    shoot.focus();
  }

  function end() {
    run += 1;
    stream?.getTracks().forEach((track) => track.stop());
    stream = video.srcObject = null;
    count.textContent = "";
    box.classList.remove("counting");
  }

  async function countDown(mine) {
    for (let left = SECONDS; left > 0; left -= 1) {
      count.textContent = left;
      await new Promise((resolve) => setTimeout(resolve, 1000));
      if (mine !== run) return false;
    }
    count.textContent = "";
    return true;
  }

  function picture() { // as others see the face, not mirrored as it is shown
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext("2d").drawImage(video, 0, 0);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.94));
  }

  async function take() {
    const mine = run;
    if (refused) form.photos.drop(refused); // this shot replaces it
    refused = null;
    show();
    say("");
    shoot.disabled = true;
    box.classList.add("counting");
    if (!(await countDown(mine))) return;
    const blob = await picture();
    box.classList.remove("counting");
    say(words.looking);
    const photo = form.photos.add(new File([blob], `camera-${form.photos.count() + 1}.jpg`, { type: blob.type }));
    const { accepted, text } = await form.photos.judge(photo);
    if (mine !== run) return;
    refused = accepted === false ? photo : null;
    shoot.disabled = false;
    if (form.photos.count() >= FIVE && !refused) {
      box.close();
      return form.photos.say(words.ready);
    }
    if (!refused) show();
    say(text, refused ? "bad" : "good");
    shoot.focus();
  }

  open.addEventListener("click", () => (form.photos.count() < FIVE ? begin() : form.photos.tell(form.dataset.tooMany)));
  shoot.addEventListener("click", take);
  find("[data-close]").addEventListener("click", () => box.close());
  box.addEventListener("close", () => {
    end();
    refused = null; // the tile shows why, and can be taken away there
    const next = form.photos.count() >= FIVE ? ".consent input" : chooser.hidden ? "#open-camera" : "#camera";
    form.querySelector(next).focus();
  });
})();
