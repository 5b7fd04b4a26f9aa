"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const axes = data.axes;
const SHOWN = 36;
const NAMES = { vlm: "prompts", detector: "detector" };
const whole = new Intl.NumberFormat("en");
const places = axes.map((axis) => axis.start);

// Suffix sums: kept[corpus][at] samples reach the thresholds at the places that `at` stands for.
const sides = axes.map((axis) => axis.edges.length + 1);
const second = axes.length > 1 ? sides[1] : 1;
const kept = data.cells.map((pairs) => {
  const sums = new Float64Array(sides[0] * second);
  for (let i = 0, at = 0; i < pairs.length; i += 2) {
    at += pairs[i];
    sums[at] = pairs[i + 1];
  }
  for (let a = sides[0] - 1; a >= 0; a--) {
    for (let b = second - 1; b >= 0; b--) {
      const right = b + 1 < second ? sums[a * second + b + 1] : 0;
      const below = a + 1 < sides[0] ? sums[(a + 1) * second + b] : 0;
      const both = b + 1 < second && a + 1 < sides[0] ? sums[(a + 1) * second + b + 1] : 0;
      sums[a * second + b] += right + below - both;
    }
  }
  return sums;
});

// A sample of level k reaches edges 0 to k - 1: place p keeps the levels above p, and level 0 stands for no threshold.
function reached(corpus, levels) {
  return kept[corpus][axes.length > 1 ? levels[0] * second + levels[1] : levels[0]];
}

function counted(corpus) {
  const levels = places.map((place) => place + 1);
  const all = reached(corpus, levels.map(() => 0));
  const left = reached(corpus, levels);
  const row = { judged: all + data.lacking[corpus], kept: left, lacking: data.lacking[corpus], alone: [], both: 0 };
  if (axes.length > 1) {
    const first = reached(corpus, [levels[0], 0]);
    const other = reached(corpus, [0, levels[1]]);
    row.alone = [other - left, first - left];
    row.both = all - first - other + left;
  } else {
    row.alone = [all - left];
  }
  return row;
}

function percent(part, of) {
  return of ? `${(100 * part / of).toFixed(1)} %` : "–";
}

function cell(row, text, kind = "td") {
  const made = document.createElement(kind);
  made.textContent = text;
  if (kind === "th") made.scope = row.parentNode?.nodeName === "THEAD" ? "col" : "row";
  if (/^[\d–]/.test(text)) made.className = "n";
  row.append(made);
}

function showCounts() {
  const rows = data.corpora.map((_, corpus) => counted(corpus));
  const total = rows.reduce((sum, row) => ({
    judged: sum.judged + row.judged, kept: sum.kept + row.kept, lacking: sum.lacking + row.lacking,
    alone: sum.alone.map((n, i) => n + row.alone[i]), both: sum.both + row.both,
  }), { judged: 0, kept: 0, lacking: 0, alone: axes.map(() => 0), both: 0 });
  const table = document.getElementById("counts");
  table.replaceChildren();
  const head = table.createTHead().insertRow();
  const removed = axes.map((axis) => `removed by the ${NAMES[axis.name]}${axes.length > 1 ? " alone" : ""}`);
  for (const name of ["corpus", "judged", "kept", "kept, %", ...removed, ...(axes.length > 1 ? ["removed by both", "in both, of all removed"] : []), "without a score"]) {
    cell(head, name, "th");
  }
  const body = table.createTBody();
  [...rows, total].forEach((row, i) => {
    const line = body.insertRow();
    const name = i < rows.length ? data.corpora[i] : "Total";
    line.dataset.corpus = name;
    for (const key of ["judged", "kept", "both", "lacking"]) line.dataset[key] = row[key];
    row.alone.forEach((n, k) => { line.dataset[`only_${axes[k].name}`] = n; });
    cell(line, name, "th");
    cell(line, whole.format(row.judged));
    cell(line, whole.format(row.kept));
    cell(line, percent(row.kept, row.judged));
    row.alone.forEach((n) => cell(line, whole.format(n)));
    if (axes.length > 1) {
      cell(line, whole.format(row.both));
      cell(line, percent(row.both, row.both + row.alone[0] + row.alone[1]));
    }
    cell(line, whole.format(row.lacking));
  });
  document.getElementById("total").textContent =
    `${whole.format(total.kept)} of ${whole.format(total.judged)} samples are kept, ${percent(total.kept, total.judged)}.`;
}

// The shortest share by which the quantile rule keeps exactly n of all scored samples.
function shareOf(n, all) {
  const nKept = (share) => Math.ceil(Number((share * all).toFixed(9)));
  for (let digits = 1; digits < 10; digits++) {
    for (const share of [Math.floor(n / all * 10 ** digits) / 10 ** digits, Math.round((n - 0.5) / all * 10 ** digits) / 10 ** digits]) {
      if (share > 0 && nKept(share) === n) return String(share);
    }
  }
  return String((n - 0.5) / all);
}

function showSettings() {
  const least = axes.map((axis, k) => `${axis.setting}=${axis.edges[places[k]]}`);
  document.getElementById("set").textContent = `SET="outliers.rule=absolute ${least.join(" ")}"`;
  const isEmpty = axes.some((axis, k) => axis.atLeast[places[k]] === 0);
  const shares = axes.map((axis, k) => `${axis.share}=${isEmpty ? "" : shareOf(axis.atLeast[places[k]], axis.n)}`);
  document.getElementById("quantile").textContent =
    isEmpty ? "no share keeps none" : `SET="outliers.rule=quantile ${shares.join(" ")}"`;
}

function item(picture) {
  const made = document.createElement("li");
  if (picture.url) {
    const image = document.createElement("img");
    image.src = picture.url;
    image.alt = picture.lines.join(": ");
    made.append(image);
  }
  const scores = axes.map((axis, k) => `${NAMES[axis.name]} ${picture.scores[k].toFixed(4)} (top ${picture.tops[k]} %)`);
  for (const text of [...picture.lines, ...scores]) {
    const line = document.createElement("div");
    line.dir = "auto";
    line.textContent = text;
    made.append(line);
  }
  return made;
}

function showPictures() {
  const border = axes.map((axis, k) => ({ least: axis.edges[places[k]], top: 100 * axis.atLeast[places[k]] / (axis.n || 1) }));
  const sides = { kept: [], removed: [] };
  for (const picture of data.pictures) {
    const isKept = border.every((edge, k) => picture.scores[k] >= edge.least);
    const inside = border.map((edge, k) => edge.top - picture.tops[k]);
    // Outside, a picture is as far from the border as the scores that it misses are.
    const far = isKept ? Math.min(...inside) : Math.hypot(...inside.map((room) => Math.min(0, room)));
    sides[isKept ? "kept" : "removed"].push({ picture, far });
  }
  for (const [name, list] of Object.entries(sides)) {
    list.sort((a, b) => a.far - b.far);
    document.getElementById(name).replaceChildren(...list.slice(0, SHOWN).map((one) => item(one.picture)));
    document.getElementById(`n-${name}`).textContent = `${Math.min(SHOWN, list.length)} of ${list.length}`;
  }
}

function show() {
  axes.forEach((axis, k) => {
    const slide = document.getElementById(`slide-${axis.name}`);
    slide.value = places[k];
    slide.setAttribute("aria-valuetext", String(axis.edges[places[k]]));
    document.getElementById(`value-${axis.name}`).value = axis.edges[places[k]];
    document.getElementById(`share-${axis.name}`).textContent = `keeps ${percent(axis.atLeast[places[k]], axis.n)}`;
  });
  showCounts();
  showSettings();
  showPictures();
  const state = axes.map((axis, k) => `${short(axis)}=${axis.edges[places[k]]}`).join("&");
  if (location.hash !== `#${state}`) history.replaceState(null, "", `#${state}`);
}

function nearest(axis, value) {
  let best = 0;
  axis.edges.forEach((edge, i) => { if (Math.abs(edge - value) < Math.abs(axis.edges[best] - value)) best = i; });
  return best;
}

function short(axis) {
  return axis.name.slice(0, 3);
}

function readAddress() {
  const stated = new URLSearchParams(location.hash.slice(1));
  axes.forEach((axis, k) => {
    const value = Number.parseFloat(stated.get(short(axis)) ?? stated.get(axis.name));
    if (Number.isFinite(value)) places[k] = nearest(axis, value);
  });
  show();
}

axes.forEach((axis, k) => {
  document.getElementById(`slide-${axis.name}`).addEventListener("input", (event) => {
    places[k] = Number(event.target.value);
    show();
  });
  document.getElementById(`value-${axis.name}`).addEventListener("change", (event) => {
    if (Number.isFinite(event.target.valueAsNumber)) places[k] = nearest(axis, event.target.valueAsNumber);
    show();
  });
});
document.querySelectorAll("button[data-at]").forEach((button) => button.addEventListener("click", () => {
  const stated = button.dataset.at.split(",").filter(Boolean).map(Number);
  if (stated.length === axes.length) stated.forEach((place, k) => { places[k] = place; });
  show();
}));
addEventListener("hashchange", readAddress);
readAddress();
