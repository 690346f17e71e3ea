// What a masked LM puts in the place of hidden words.

import { bar, bars } from "./answers.js";
import { el, fixed } from "./dom.js";
import { say } from "./language.js";
import { cutNote } from "./view_answer.js";
import { slice, wordsOf } from "./words.js";

const MOST = 20;
// Of one text: MOST_MASKS in kbert/inference/fill_mask.py.
const MOST_HIDDEN = 16;

export async function fillMaskView(page) {
  const { values } = page;
  // Both may come from a link.
  const given = (values.hidden || "").split(",").map(Number).filter((n) => Number.isInteger(n) && n > 0);
  const hidden = [...new Set(given)].slice(0, MOST_HIDDEN);
  const top = Math.max(1, Math.min(MOST, Math.round(Number(values.top)) || 5));
  const [found] = await page.ask("fill-mask", [{ text: values.text, hidden, top: MOST }]);
  const words = wordsOf(found.tokens, values.text);
  const isHidden = (word) => word.tokens.every((n) => hidden.includes(n));
  const tooMany = (word) => !isHidden(word) && found.masks.length + word.tokens.length > MOST_HIDDEN;
  const toggle = (word) => {
    const left = hidden.filter((n) => !word.tokens.includes(n));
    page.set("hidden", (isHidden(word) ? left : [...left, ...word.tokens]).sort((a, b) => a - b).join(","));
  };
  const buttons = words.map((word) => word.text === "[MASK]"
    ? el("span", { class: "word mask" }, word.text)
    : el("button", { type: "button", class: "word", "aria-pressed": String(isHidden(word)), disabled: tooMany(word), "data-key": `word-${word.start}`, onclick: () => toggle(word) }, word.text));
  const results = el("div", { class: "columns", id: "masks" });
  const number = el("output", { for: "top" }, String(top));
  const draw = (count) => results.replaceChildren(...found.masks.map((mask, n) => drawMask(mask, n, count, found, values.text)));
  const slider = el("input", { type: "range", id: "top", min: "1", max: String(MOST), value: String(top), oninput: () => {
    number.textContent = slider.value;
    values.top = slider.value;
    draw(Number(slider.value));
  } });
  draw(top);
  return [
    el("div", { class: "card" }, el("h2", { id: "hide" }, say("hide")), el("div", { class: "words", role: "group", "aria-labelledby": "hide" }, buttons),
      cutNote(found), el("p", { class: "soft" }, say("hideNote", { n: MOST_HIDDEN })),
      el("label", { class: "row", for: "top" }, say("top"), slider, number)),
    found.masks.length ? results : el("p", { class: "card soft" }, say("hideFirst"))];
}

function drawMask(mask, n, top, found, text) {
  const token = found.tokens[mask.position];
  const was = mask.hidden;
  const word = was ? slice(text, token.start, token.end) : "[MASK]";
  const most = mask.candidates[0].score;
  return el("div", { class: "card" }, el("h2", {}, say("place", { n: n + 1, word })),
    bars(mask.candidates.slice(0, top).map((one) => bar(one.token, one.score / most, fixed(one.score), { best: was ? one.token === was.token : one === mask.candidates[0] }))),
    was ? el("p", {}, say("wasThere", { word: was.token, score: fixed(was.score, 4) })) : null);
}
