// A text and the same one edited, both answers side by side.

import { answerNodes } from "./answers.js";
import { el, signed } from "./dom.js";
import { instanceOf } from "./fields.js";
import { say } from "./language.js";
import { changed } from "./words.js";

export async function compareView(page) {
  const { model, values } = page;
  const instances = [instanceOf(model, values), instanceOf(model, values, "other_")];
  const found = await page.ask("answer", instances);
  const columns = found.map((answer, n) => el("div", { class: "card" },
    el("h2", {}, say(n ? "edited" : "original")), n ? difference(instances) : plain(instances[0]), answerNodes(model, answer, instances[n])));
  return [el("div", { class: "columns", id: "compared" }, columns), changes(model, found)];
}

// The words of all texts of an instance, spaces between them their own.
function partsOf(instance) {
  return Object.values(instance).flat().join(" / ").split(/(\s+|(?<=[\u3400-\u9fff])|(?=[\u3400-\u9fff]))/).filter(Boolean);
}

function plain(instance) {
  return el("p", { class: "soft" }, partsOf(instance).join(""));
}

function difference([before, after]) {
  const [a, b] = [partsOf(before), partsOf(after)];
  const found = changed(a, b);
  const nodes = b.map((part, n) => (found.has(n) && part.trim() ? el("ins", {}, part) : part));
  return el("p", { class: "soft" }, a.join("") === b.join("") ? say("same") : nodes);
}

function changes(model, [before, after]) {
  const values = (answer) => (model.kind === "regression" ? { [say("number")]: answer.value } : model.kind === "choice" ? null : answer.probabilities);
  const [a, b] = [values(before), values(after)];
  if (!a || !b) return null;
  const rows = Object.keys(a).map((name) => [name, b[name] - a[name]]).sort((x, y) => Math.abs(y[1]) - Math.abs(x[1]));
  return el("div", { class: "card" }, el("h2", {}, say("change")), el("table", {}, el("tbody", {},
    rows.map(([name, change]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, signed(change)))))));
}
