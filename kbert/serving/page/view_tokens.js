// What the model sees of a text: pieces, ids, segments, positions, and what was cut.

import { el } from "./dom.js";
import { textsOf } from "./fields.js";
import { say } from "./language.js";
import { cutNote } from "./view_answer.js";
import { slice } from "./words.js";

const WINDOWED = ["qa", "tagging"];

export async function tokensView(page) {
  const { model, values } = page;
  const instance = textsOf(model, values);
  const [found] = await page.ask("tokens", [instance]);
  const texts = [instance.text, instance.second];
  const source = (token) => (token.text === null ? "" : slice(texts[token.text], token.start, token.end));
  const chip = (token, cut) => el("span", { class: `piece ${cut ? "cut" : token.text === null ? "special" : token.segment ? "second" : ""}` }, el("code", {}, token.token));
  const row = (token, position, cut) => el("tr", { class: cut ? "cut" : null },
    el("td", {}, cut ? say("wasCut") : position), el("td", {}, el("code", {}, token.token)), el("td", {}, token.id), el("td", {}, token.segment), el("td", {}, source(token)));
  const note = found.cut.length && WINDOWED.includes(model.kind) ? el("div", { class: "notice" }, say("windows")) : cutNote(found);
  return [el("div", { class: "card" },
    el("h2", {}, say("pieces")),
    el("div", { class: "pieces" }, found.tokens.map((token) => chip(token, false)), found.cut.map((token) => chip(token, true))), note ?? "",
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": say("pieces") }, el("table", { id: "tokens" },
      el("thead", {}, el("tr", {}, ["position", "piece", "id", "segment", "from"].map((key) => el("th", { scope: "col" }, say(key))))),
      el("tbody", {}, found.tokens.map((token, n) => row(token, n, false)), found.cut.map((token) => row(token, null, true))))))];
}
