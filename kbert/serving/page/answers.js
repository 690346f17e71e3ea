// A model's answer as elements, by its kind.

import { el, fixed } from "./dom.js";
import { say } from "./language.js";

export function bar(label, share, number, { best = false, long = false, press = null, pressed = null, key = null } = {}) {
  const fill = el("div", { class: "fill" });
  fill.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  const parts = [el("span", { class: "label" }, label), el("span", { class: "track" }, fill), el("span", { class: "number" }, number)];
  const name = ["bar", ...(best ? ["best"] : []), ...(long ? ["long"] : [])].join(" ");
  if (!press) return el("div", { class: name }, parts);
  return el("button", { type: "button", class: name, "aria-pressed": String(pressed), "data-key": key, onclick: press }, parts);
}

export function bars(items) {
  return el("ul", { class: "bars" }, items.map((item) => el("li", {}, item)));
}

// options.label and options.choose: of a distribution, which label is chosen, and what a press does.
export function answerNodes(model, answer, instance, options = {}) {
  return KINDS[model.kind](model, answer, instance, options);
}

const KINDS = {
  classification: distribution,
  multilabel: labels,
  regression: (model, answer) => [el("h2", {}, say("number")), el("p", { class: "big" }, fixed(answer.value))],
  tagging: spans,
  qa: question,
  choice: (model, answer, instance) => [el("h2", {}, say("answerIs")),
    bars(instance.choices.map((choice, n) => bar(choice, answer.probabilities[n], fixed(answer.probabilities[n]), { best: n === answer.label, long: true })))],
};

function distribution(model, answer, instance, { label = null, choose = null, applying = [answer.label] }) {
  const found = Object.entries(answer.probabilities).sort((a, b) => b[1] - a[1]);
  return [el("h2", {}, say("answerIs")), bars(found.map(([name, share]) =>
    bar(name, share, fixed(share), { best: applying.includes(name), press: choose && (() => choose(name)), pressed: name === label, key: `label-${name}` })))];
}

function labels(model, answer, instance, options) {
  const found = answer.labels.length ? answer.labels.join(", ") : say("none");
  return [...distribution(model, answer, instance, { ...options, applying: answer.labels }),
    el("p", {}, say("applies", { threshold: model.settings.threshold }), " ", el("strong", {}, found))];
}

// Text with marks in it: [{start, end, name, label}], in code points and in order.
export function marked(text, marks) {
  const characters = Array.from(text), nodes = [];
  let place = 0;
  for (const mark of marks) {
    nodes.push(characters.slice(place, mark.start).join(""));
    nodes.push(el("mark", { class: mark.name, title: mark.title || null }, characters.slice(mark.start, mark.end).join(""), mark.label ? el("b", {}, mark.label) : null));
    place = mark.end;
  }
  return el("p", { class: "spans" }, [...nodes, characters.slice(place).join("")]);
}

function spans(model, answer, instance) {
  const types = model.settings.labels || [];
  const marks = answer.entities.map((entity) => ({
    ...entity, name: `tag-${Math.max(0, types.indexOf(entity.type)) % 8}`, label: entity.type, title: fixed(entity.score) }));
  const rows = answer.tokens.map((word, n) => el("tr", {}, el("td", {}, word), el("td", {}, el("code", {}, answer.tags[n]))));
  return [
    el("h2", {}, say("spans")),
    marks.length || model.settings.plain ? null : el("p", { class: "soft" }, say("noSpans")),
    marked(instance.text, marks),
    marks.length ? el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": say("spans") }, el("table", {},
      el("thead", {}, el("tr", {}, ["text", "type", "score"].map((key) => el("th", { scope: "col" }, say(key))))),
      el("tbody", {}, answer.entities.map((entity) => el("tr", {}, el("td", {}, entity.text), el("td", {}, entity.type), el("td", {}, fixed(entity.score))))))) : null,
    el("details", { open: model.settings.plain || null }, el("summary", {}, say("tagTable")),
      el("table", {}, el("thead", {}, el("tr", {}, ["word", "tag"].map((key) => el("th", { scope: "col" }, say(key))))), el("tbody", {}, rows)))];
}

function question(model, answer, instance) {
  const found = answer.start === null ? [] : [{ start: answer.start, end: answer.end, name: "answer" }];
  const threshold = answer.null_score === undefined ? null : el("p", { class: "soft" },
    say("threshold", { score: fixed(answer.null_score, 2), threshold: fixed(model.settings.null_threshold, 2) }));
  return [
    el("h2", {}, say("answerIs")),
    el("p", {}, el("strong", {}, answer.text || say("noAnswer")), ` ${fixed(answer.score)}`),
    marked(instance.context, found), threshold,
    el("h2", {}, say("nbest")),
    bars(answer.nbest.slice(0, 8).map((one, n) => bar(one.text, one.score, fixed(one.score), { best: n === 0 && found.length > 0, long: true })))];
}
