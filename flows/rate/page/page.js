// The page of raters. Whatever comes from a corpus is set with textContent, never as markup.
"use strict";

const $ = (id) => document.getElementById(id);
const UNSURE = { value: "unsure", key: "0", meaning: "cannot say" };
let task, rater, done = new Set(), number = 0, active = 0, isBusy = false;

async function ask(path, options) {
  const response = await fetch(path, options).catch((error) => {
    throw new Error(`Not done: ${error.message}. Is the server still running?`);
  });
  if (!response.ok) throw new Error(`Not done: ${await response.text()}.`);
  return response.json();
}

function trouble(error) {
  $("trouble").textContent = error ? error.message : "";
}

function element(name, text, attributes = {}) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function drawQuestions() {
  $("questions").replaceChildren(...task.questions.map((question, n) => {
    const group = element("fieldset", undefined, { id: `question-${n}` });
    group.append(element("legend", question.text));
    for (const choice of [...question.choices, UNSURE]) {
      const label = element("label");
      const input = element("input", undefined, { type: "radio", name: question.name, value: choice.value });
      input.addEventListener("change", () => activate(n));
      label.append(input, element("kbd", choice.key), element("span", choice.meaning));
      group.append(label);
    }
    return group;
  }));
}

function activate(n) {
  active = Math.max(0, Math.min(task.questions.length - 1, n));
  task.questions.forEach((_, k) => $(`question-${k}`).classList.toggle("now", k === active));
}

function chosen(name) {
  return document.querySelector(`input[name="${name}"]:checked`)?.value;
}

function showPlace() {
  $("place").textContent = `${rater}: item ${number + 1} of ${task.n}, ${done.size} judged`;
  $("bar").value = task.n ? done.size / task.n : 0;
}

async function show(n) {
  number = (n + task.n) % task.n;
  const item = await ask(`/api/items/${number}?rater=${encodeURIComponent(rater)}`);
  $("end").hidden = true;
  $("work").hidden = false;
  $("text").textContent = item.text ?? "";
  $("text").scrollTop = 0;
  $("pictures").replaceChildren(...item.pictures.map((isThere, k) => {
    const figure = element("figure");
    const name = item.pictures.length > 1 ? `Picture ${k + 1}` : "The picture";
    figure.append(isThere
      ? element("img", undefined, { src: `/pictures/${number}/${k}`, alt: `${name} to judge` })
      : element("p", `${name} is not in this build.`));
    return figure;
  }));
  for (const input of document.querySelectorAll("#questions input")) {
    input.checked = item.answers[input.name] === input.value;
  }
  activate(0);
  showPlace();
  document.activeElement?.blur();
}

async function store() {
  const answers = Object.fromEntries(task.questions.map((q) => [q.name, chosen(q.name)]));
  const missing = task.questions.findIndex((q) => !answers[q.name]);
  if (missing >= 0) {
    activate(missing);
    throw new Error(`Question ${missing + 1} has no answer yet.`);
  }
  await ask(`/api/items/${number}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ rater, answers }),
  });
  done.add(number);
  await next();
}

async function next() {
  for (let step = 1; step <= task.n; step += 1) {
    const n = (number + step) % task.n;
    if (!done.has(n)) return show(n);
  }
  showPlace();
  $("work").hidden = true;
  $("end").hidden = false;
}

// One thing at a time: a key that is held down must not store an item that is not shown yet.
async function act(what) {
  if (isBusy) return;
  isBusy = true;
  try {
    await what();
    trouble();
  } catch (error) {
    trouble(error);
  } finally {
    isBusy = false;
  }
}

function choose(key) {
  const question = task.questions[active];
  const choice = [...question.choices, UNSURE].find((one) => one.key === key.toLowerCase());
  if (!choice) return false;
  document.querySelector(`input[name="${question.name}"][value="${choice.value}"]`).checked = true;
  activate(active + 1);
  return true;
}

document.addEventListener("keydown", (event) => {
  if ($("work").hidden || event.ctrlKey || event.altKey || event.metaKey) return;
  const onButton = document.activeElement?.tagName === "BUTTON";
  const moves = {
    ArrowLeft: () => act(() => show(number - 1)),
    ArrowRight: () => act(() => show(number + 1)),
    ArrowUp: () => activate(active - 1),
    ArrowDown: () => activate(active + 1),
    Enter: () => act(store),
  };
  if (onButton && event.key === "Enter") return;
  if (moves[event.key]) moves[event.key]();
  else if (isBusy || !choose(event.key)) return;
  event.preventDefault();
});

async function begin(name) {
  rater = name.trim().replace(/\s+/g, " ").normalize("NFC");
  const progress = await ask(`/api/progress?rater=${encodeURIComponent(rater)}`);
  done = new Set(progress.done);
  history.replaceState(null, "", `/?rater=${encodeURIComponent(rater)}`);
  $("who").hidden = true;
  $("other").hidden = false;
  number = task.n - 1;
  await next();
}

function askName() {
  for (const id of ["work", "end", "other"]) $(id).hidden = true;
  $("who").hidden = false;
  $("place").textContent = $("rater").value = "";
  $("bar").value = 0;
  history.replaceState(null, "", "/");
  $("rater").focus();
}

$("who").addEventListener("submit", (event) => {
  event.preventDefault();
  act(() => begin($("rater").value));
});
$("questions").addEventListener("submit", (event) => event.preventDefault());
$("store").addEventListener("click", () => act(store));
$("back").addEventListener("click", () => act(() => show(number - 1)));
$("forward").addEventListener("click", () => act(() => show(number + 1)));
$("again").addEventListener("click", () => act(() => show(0)));
$("other").addEventListener("click", () => act(askName));

act(async () => {
  task = await ask("/api/task");
  document.title = task.title;
  $("title").textContent = task.title;
  $("advice").textContent = task.advice;
  drawQuestions();
  const name = new URLSearchParams(location.search).get("rater");
  if (name) await begin(name);
  else $("rater").focus();
});
