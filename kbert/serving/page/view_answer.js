// The answer, and of labels and numbers what each word contributed to it.

import { answerNodes } from "./answers.js";
import { chooser, el, fixed, shade, signed } from "./dom.js";
import { instanceOf } from "./fields.js";
import { say } from "./language.js";
import { wordsOf, without } from "./words.js";

const EXPLAINED = ["classification", "multilabel", "regression"];
const AT_ONCE = 32; // texts without a word
const PARTS = ["text", "second"];
let method = "contributions";

export async function answerView(page) {
  const { model, values } = page;
  const instance = instanceOf(model, values);
  const [answer] = await page.ask("answer", [instance]);
  if (!EXPLAINED.includes(model.kind)) return [el("div", { class: "card" }, answerNodes(model, answer, instance))];
  const shown = el("div", { class: "card", id: "distribution" }), why = el("div", { class: "card", id: "contributions" });
  let label = model.kind === "regression" ? null : best(answer);
  const draw = () => {
    const focused = document.activeElement?.dataset.key;
    const choose = (name) => { label = name; draw(); };
    shown.replaceChildren(...answerNodes(model, answer, instance, { label, choose }),
      model.kind === "regression" ? "" : el("p", { class: "soft" }, say("chooseLabel")));
    if (focused) shown.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
    drawWhy();
  };
  const drawWhy = () => {
    const body = el("div");
    const options = [["contributions", say("gradients")], ["removal", say("removal")]];
    why.replaceChildren(el("h2", {}, say("contributions")),
      chooser(say("method"), options, method, (name) => { method = name; drawWhy(); why.querySelector('[aria-pressed="true"]').focus(); }), body);
    const lacking = model.lacking.contributions;
    if (method === "contributions" && lacking) body.replaceChildren(el("p", { class: "soft" }, say(`lacking.${lacking}`)));
    else page.fill(body, () => (method === "removal" ? byRemoval : byGradients)(page, instance, answer, label));
  };
  draw();
  return [shown, why];
}

function best(answer) {
  return Object.entries(answer.probabilities).reduce((a, b) => (b[1] > a[1] ? b : a))[0];
}

function valueOf(answer, label) {
  return label === null ? answer.value : answer.probabilities[label];
}

function targetOf(label) {
  return label === null ? say("targetValue") : say("target", { label });
}

async function byGradients(page, instance, answer, label) {
  const [found] = await page.ask("contributions", [label === null ? instance : { ...instance, label }]);
  const rows = PARTS.filter((name) => name in instance).map((name, number) =>
    wordsOf(found.tokens, instance[name], number).map((word) => ({
      text: word.text, value: word.tokens.reduce((sum, n) => sum + found.tokens[n].contribution, 0) })));
  const sum = found.tokens.reduce((total, token) => total + token.contribution, 0);
  return [...drawn(rows), cutNote(found), el("p", { class: "soft" }, say("gradientsNote", {
    target: targetOf(label), steps: found.steps, baseline: fixed(found.baseline), sum: signed(sum), change: signed(found.answer - found.baseline) }))];
}

async function byRemoval(page, instance, answer, label) {
  const [found] = await page.ask("tokens", [instance]);
  const rows = [], instances = [];
  PARTS.filter((name) => name in instance).forEach((name, number) => {
    const words = wordsOf(found.tokens, instance[name], number);
    rows.push(words);
    for (const word of words) instances.push({ ...instance, [name]: without(instance[name], word) });
  });
  const others = [];
  for (let start = 0; start < instances.length; start += AT_ONCE) others.push(...(await page.ask("answer", instances.slice(start, start + AT_ONCE))));
  let next = 0;
  const values = rows.map((words) => words.map((word) => ({ text: word.text, value: valueOf(answer, label) - valueOf(others[next++], label) })));
  return [...drawn(values), cutNote(found), el("p", { class: "soft" }, say("removalNote", { target: targetOf(label) }))];
}

export function cutNote(found) {
  return found.cut.length ? el("div", { class: "notice" }, say("cut", { n: found.cut.length })) : null;
}

function drawn(rows) {
  const most = Math.max(1e-9, ...rows.flat().map((word) => Math.abs(word.value)));
  return [...rows.map((words) => el("div", { class: "words" }, words.map((word) =>
    shade(el("span", { class: "word" }, word.text, el("small", {}, signed(word.value))),
      word.value >= 0 ? "--for" : "--against", 0.45 * Math.abs(word.value) / most)))),
    el("p", { class: "soft" }, say("legend"))];
}
