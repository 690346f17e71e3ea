// The cosine of each two sentences, and the nearest sentences of a file.

import { bar, bars } from "./answers.js";
import { el, fixed, shade } from "./dom.js";
import { linesOf } from "./fields.js";
import { say } from "./language.js";

const MOST_SENTENCES = 16, MOST_LINES = 5000, AT_ONCE = 256, NEAREST = 10;
// The file stays read while the sentences change.
let file = { name: "", lines: [], all: 0, vectors: [], cut: 0, model: "" };

export async function similarityView(page) {
  const all = linesOf(page.values.sentences), sentences = all.slice(0, MOST_SENTENCES);
  const { vectors, cut } = await vectorsOf(page, sentences);
  const nodes = [el("div", { class: "card" }, el("h2", {}, say("heat")),
    all.length > sentences.length ? el("div", { class: "notice" }, say("tooMany", { n: MOST_SENTENCES })) : "", cutNote(cut),
    sentences.length < 2 ? el("p", { class: "soft" }, say("twoLines")) : heat(sentences, vectors))];
  const body = el("div", { id: "nearest" });
  const input = el("input", { type: "file", id: "file", accept: ".txt,text/plain", onchange: () => input.files.length && page.fill(body, async () => {
    await readFile(page, input.files[0]);
    return nearest(sentences, vectors);
  }) });
  nodes.push(el("div", { class: "card" }, el("h2", {}, say("nearest")), el("label", { for: "file" }, say("file")), input, body));
  if (file.lines.length) page.fill(body, async () => { if (file.model !== page.model.name) await readVectors(page, file); return nearest(sentences, vectors); });
  return nodes;
}

async function vectorsOf(page, texts) {
  const found = [];
  for (let start = 0; start < texts.length; start += AT_ONCE) {
    const some = texts.slice(start, start + AT_ONCE).map((text) => ({ text }));
    found.push(...(await page.ask("vectors", some)));
  }
  return { vectors: found.map((answer) => unit(answer.embedding)), cut: found.filter((answer) => answer.cut).length };
}

const cutNote = (n) => (n ? el("div", { class: "notice" }, say("cutTexts", { n })) : "");

function unit(vector) {
  const length = Math.sqrt(vector.reduce((sum, x) => sum + x * x, 0)) || 1;
  return vector.map((x) => x / length);
}

const cosine = (a, b) => a.reduce((sum, x, n) => sum + x * b[n], 0);

function heat(sentences, vectors) {
  const scores = vectors.map((a) => vectors.map((b) => cosine(a, b)));
  const others = scores.flatMap((row, i) => row.filter((_, j) => i !== j));
  const [low, high] = [Math.min(...others), Math.max(...others)];
  const strength = (score) => 0.05 + 0.5 * Math.max(0, Math.min(1, (score - low) / (high - low || 1)));
  const numbers = sentences.map((_, n) => el("th", { scope: "col" }, String(n + 1)));
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": say("heat") }, el("table", { class: "heat" }, el("thead", {}, el("tr", {}, el("td", {}), numbers)),
    el("tbody", {}, sentences.map((sentence, i) => el("tr", {}, el("th", { scope: "row" }, `${i + 1}. ${sentence}`),
      scores[i].map((score, j) => shade(el("td", {}, fixed(score, 2)), "--for", i === j ? 0 : strength(score))))))));
}

async function readFile(page, given) {
  const lines = linesOf(await given.text());
  await readVectors(page, { name: given.name, lines: lines.slice(0, MOST_LINES), all: lines.length });
}

// What was read is shown when all of it is there: another file may be chosen meanwhile.
async function readVectors(page, read) {
  file = { ...read, ...(await vectorsOf(page, read.lines)), model: page.model.name };
}

function nearest(sentences, vectors) {
  if (!file.lines.length) return [el("p", { class: "soft" }, say("fileEmpty"))];
  const list = el("div");
  const select = el("select", { id: "nearest-to", onchange: () => draw() }, sentences.map((sentence) => el("option", {}, sentence)));
  const draw = () => {
    const own = vectors[Math.max(0, select.selectedIndex)];
    const scores = file.vectors.map((vector, n) => [cosine(own, vector), file.lines[n]]).sort((a, b) => b[0] - a[0]);
    list.replaceChildren(bars(scores.slice(0, NEAREST).map(([score, text], n) => bar(text, score, fixed(score), { best: n === 0, long: true }))));
  };
  draw();
  return [file.all > MOST_LINES ? el("div", { class: "notice" }, say("tooMany", { n: MOST_LINES })) : null, cutNote(file.cut) || null,
    el("p", { class: "soft" }, file.name), el("label", { for: "nearest-to" }, say("nearestTo")), select, list];
}
