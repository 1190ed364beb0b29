"use strict";
const PARALLEL = 4, SHOWN = 3, TRIES = 8;
const at = (id) => document.getElementById(id);
const copy = (id) => at(id).content.firstElementChild.cloneNode(true);
const percent = (share) => (100 * share).toFixed(1) + "\u00a0%";
const digits = (value) => value.toFixed(4);
let token = "", version = null, waiting = [], running = 0, round = 0, done = 0, total = 0;

function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (token) headers.Authorization = "Bearer " + token;
  return fetch(path, { ...options, headers });
}

async function start() {
  let reply;
  try {
    reply = await ask("/version");
  } catch {
    at("model").textContent = "The server does not answer.";
    return;
  }
  at("access").hidden = reply.status !== 401;
  at("choose").hidden = !reply.ok;
  if (!reply.ok) {
    at("model").textContent = reply.status === 401 ? "" : (await reply.json()).detail;
    if (token) at("denied").textContent = "The server does not accept this token.";
    if (reply.status === 401) at("token").focus();
    return;
  }
  version = await reply.json();
  describe();
}

function describe() {
  const { limits, policy } = version;
  const digest = Object.values(version.weights)[0].slice(0, 12);
  at("model").textContent = `${version.model} (${version.form}), ${version.classes.length} classes, ` +
    `${version.exits.length} exits, images of ${version.size} px; weights ${digest}; ` +
    `fairexit ${version.fairexit}.` +
    (policy.certificate ? " Its threshold has a certificate." : "");
  at("limits").textContent = `Up to ${limits.max_bytes / 1e6} MB and ` +
    `${limits.max_pixels / 1e6} megapixels for each image.`;
}

function add(files) {
  if (!version) return;
  at("answers").hidden = false;
  for (const file of files) {
    const card = copy("result");
    card.querySelector("h3").textContent = file.name;
    thumbnail(card.querySelector("img"), file);
    at("results").append(card);
    waiting.push([file, card, round]);
    total += 1;
  }
  show();
  while (running < PARALLEL && waiting.length) work();
}

function thumbnail(image, file) {
  const address = URL.createObjectURL(file);
  image.onload = () => URL.revokeObjectURL(address);
  image.onerror = () => { URL.revokeObjectURL(address); image.hidden = true; };
  image.src = address;
}

async function work() {
  running += 1;
  while (waiting.length) {
    const [file, card, number] = waiting.shift();
    try {
      const answer = await answerOf(file);
      answer.problem ? refuse(card, answer.problem) : fill(card, answer);
    } catch (error) {
      refuse(card, error.message);
    }
    if (number === round) { done += 1; show(); }
  }
  running -= 1;
}

async function answerOf(file) {
  const most = version.limits.max_bytes;
  if (file.size > most) throw Error(`the file has ${file.size} bytes, but the server takes ${most}`);
  for (let tried = 1; ; tried += 1) {
    let reply;
    try {
      reply = await ask("/predict", {
        method: "POST", body: file, headers: { "Content-Type": "application/octet-stream" },
      });
    } catch {
      throw Error("the server does not answer, or the file cannot be read");
    }
    if (reply.status === 503 && tried < TRIES) {
      await new Promise((go) => setTimeout(go, 1000 * Number(reply.headers.get("Retry-After") || 1)));
      continue;
    }
    const content = await reply.json();
    if (!content.answers) throw Error(content.detail);
    return content.answers[0];
  }
}

function refuse(card, problem) {
  const status = card.querySelector(".status");
  status.classList.add("problem");
  status.textContent = problem;
}

function fill(card, answer) {
  card.querySelector(".status").remove();
  card.querySelector(".verdict").hidden = false;
  card.querySelector(".prediction").textContent = answer.prediction;
  card.querySelector(".why").textContent =
    `${answer.why} It took ${percent(answer.cost)} of the full network's work.`;
  if (answer.set) {
    const tag = card.querySelector(".tag");
    tag.textContent = answer.refer ? "refer to a person" : "no referral";
    tag.classList.toggle("alarm", answer.refer);
    const { coverage, attribute } = version.policy.sets;
    card.querySelector(".sets").textContent = `Set of diagnoses: ${answer.set.join(", ") || "none"}. ` +
      `Such sets hold the true one with probability ${percent(coverage)} in every group of ` +
      `${attribute}; an image whose set has not exactly one is referred.`;
  }
  for (const exit of answer.exits) card.querySelector(".exits").append(exitOf(exit, answer));
}

function exitOf(exit, answer) {
  const box = copy("exit"), answers = exit.exit === answer.exit;
  box.classList.toggle("answers", answers);
  const name = exit.exit_name[0].toUpperCase() + exit.exit_name.slice(1);
  box.querySelector("h4").textContent = name + (answers ? " answers" : "");
  box.querySelector("p").textContent = `Confidence ${digits(exit.confidence)}` +
    (exit.threshold === null ? "" : `, needs ${digits(exit.threshold)}`);
  box.querySelector("table").ariaLabel = `Probabilities at ${exit.exit_name}, the largest first`;
  const sorted = Object.entries(exit.probabilities).sort((a, b) => b[1] - a[1]);
  for (const [name, share] of sorted.slice(0, SHOWN)) box.querySelector("tbody").append(row(name, share));
  return box;
}

function row(name, share) {
  const line = document.createElement("tr"), head = document.createElement("th");
  head.scope = "row";
  head.textContent = name;
  const bar = document.createElement("span"), cell = document.createElement("td");
  bar.className = "bar";
  bar.style.width = 100 * share + "%";
  cell.append(bar);
  const value = document.createElement("td");
  value.textContent = percent(share);
  line.append(head, cell, value);
  return line;
}

function show() {
  at("state").textContent = done < total ? `${done} of ${total} images are done.`
    : total === 1 ? "The image is done." : `All ${total} images are done.`;
}

at("files").addEventListener("change", (event) => { add(event.target.files); event.target.value = ""; });
at("access").addEventListener("submit", (event) => {
  event.preventDefault();
  token = at("token").value.trim();
  at("token").value = "";
  at("denied").textContent = "";
  start();
});
at("clear").addEventListener("click", () => {
  waiting = []; done = 0; total = 0; round += 1;
  at("results").replaceChildren();
  at("answers").hidden = true;
  at("files").focus();
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    document.body.classList.toggle("dropping", kind === "dragover");
    if (kind === "drop") add(event.dataTransfer.files);
  });
}
start();
