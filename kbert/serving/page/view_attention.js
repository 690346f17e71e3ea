// The attention of every head of every layer as a small map, and one of them large.

import { chooser, el, fixed, svg } from "./dom.js";
import { textsOf } from "./fields.js";
import { say } from "./language.js";

const ROW = 24, BETWEEN = 240, CELL = 18, CHARACTER = 9;
// Which head is shown, and how, while texts change.
const shown = { layer: 0, head: 0, specials: true, picture: "lines" };

export async function attentionView(page) {
  const { model, values } = page;
  const [found] = await page.ask("attention", [textsOf(model, values)]);
  shown.layer = Math.min(shown.layer, found.attention.length - 1);
  shown.head = Math.min(shown.head, found.attention[0].length - 1);
  const maps = el("div", { class: "card" }), large = el("div", { class: "card", id: "large" });
  const draw = () => { drawMaps(maps, found, draw); drawLarge(large, found, draw); };
  draw();
  return [el("div", { class: "notice" }, say("notExplanation")), found.cut.length ? el("div", { class: "notice" }, say("firstTokens", { n: found.tokens.length })) : null, el("div", { class: "columns wide" }, large, maps)];
}

function kept(found) {
  return found.tokens.map((token, n) => n).filter((n) => shown.specials || found.tokens[n].text !== null);
}

function drawMaps(node, found, draw) {
  const heads = found.attention[0].length, numbers = kept(found);
  const grid = el("div", { class: "maps", tabindex: "0", role: "group", "aria-label": say("maps") });
  grid.style.gridTemplateColumns = `auto repeat(${heads}, 52px)`;
  grid.append(el("span", {}), ...found.attention[0].map((_, head) => el("span", { class: "corner" }, say("headName", { n: head + 1 }))));
  found.attention.forEach((layer, l) => {
    grid.append(el("span", { class: "corner" }, say("layerName", { n: l + 1 })));
    layer.forEach((scores, h) => grid.append(el("button", {
      type: "button", "aria-pressed": String(l === shown.layer && h === shown.head), "data-key": `head-${l}-${h}`,
      "aria-label": say("head", { layer: l + 1, head: h + 1 }),
      onclick: () => { shown.layer = l; shown.head = h; draw(); node.querySelector(`[data-key="head-${l}-${h}"]`).focus(); },
    }, painted(scores, numbers, 1))));
  });
  node.replaceChildren(el("h2", {}, say("maps")), grid);
}

// Darker where a score is higher; the square root makes small ones visible.
function painted(scores, numbers, size) {
  const canvas = el("canvas", { width: numbers.length * size, height: numbers.length * size, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  context.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--bar");
  numbers.forEach((i, y) => numbers.forEach((j, x) => {
    context.globalAlpha = Math.sqrt(scores[i][j]);
    context.fillRect(x * size, y * size, size, size);
  }));
  return canvas;
}

function drawLarge(node, found, draw) {
  const scores = found.attention[shown.layer][shown.head], numbers = kept(found);
  const redraw = (selector) => { draw(); node.querySelector(selector)?.focus(); };
  const specials = el("input", { type: "checkbox", id: "specials", checked: shown.specials, onchange: () => { shown.specials = specials.checked; redraw("#specials"); } });
  const pictures = chooser(say("shape"), [["lines", say("lines")], ["map", say("map")]], shown.picture, (name) => { shown.picture = name; redraw('.choice [aria-pressed="true"]'); });
  const names = numbers.map((n) => found.tokens[n].token);
  node.replaceChildren(el("h2", {}, say("head", { layer: shown.layer + 1, head: shown.head + 1 })),
    el("div", { class: "line" }, pictures, el("label", { class: "row", for: "specials" }, specials, say("specials"))),
    el("p", { class: "soft" }, say(shown.picture === "lines" ? "linesNote" : "mapNote")),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": say("shape") }, shown.picture === "lines" ? lines(scores, numbers, names) : map(scores, numbers, names)));
}

// As much room as the longest token needs.
function labelWidth(names) {
  return 20 + CHARACTER * Math.max(4, ...names.map((name) => Array.from(name).length));
}

function lines(scores, numbers, names) {
  const label = labelWidth(names), width = 2 * label + BETWEEN;
  const y = (n) => n * ROW + ROW / 2 + 4;
  const height = numbers.length * ROW + 8;
  const drawn = [];
  numbers.forEach((i, a) => numbers.forEach((j, b) => {
    if (scores[i][j] < 0.01) return;
    drawn.push({ a, b, score: scores[i][j], node: svg("line", { x1: label, y1: y(a), x2: width - label, y2: y(b), "stroke-width": 1 + 3 * scores[i][j] }) });
  }));
  let fixedAt = null;
  const labels = [];
  const show = (from) => {
    for (const line of drawn) line.node.setAttribute("stroke-opacity", from === null || line.a === from ? Math.min(1, line.score * (from === null ? 1 : 1.3)) : 0);
    labels.forEach((label, n) => label.classList.toggle("on", n === from));
  };
  numbers.forEach((_, n) => {
    const press = () => { fixedAt = fixedAt === n ? null : n; show(fixedAt); labels.forEach((one, m) => one.setAttribute("aria-pressed", String(m === fixedAt))); };
    const node = svg("g", { class: "token", tabindex: "0", role: "button", "aria-pressed": "false", "aria-label": names[n],
      onclick: press, onmouseenter: () => show(n), onmouseleave: () => show(fixedAt), onfocus: () => show(n), onblur: () => show(fixedAt),
      onkeydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); press(); } } },
      svg("rect", { x: 2, y: y(n) - ROW / 2 + 1, width: label - 6, height: ROW - 2, rx: 5 }),
      svg("text", { x: label - 10, y: y(n) + 5, "text-anchor": "end" }, names[n]));
    labels.push(node);
  });
  show(null);
  return svg("svg", { class: "lines", viewBox: `0 0 ${width} ${height}`, width: width, height, role: "group", "aria-label": say("lines") },
    drawn.map((line) => line.node), labels,
    numbers.map((_, n) => svg("text", { x: width - label + 10, y: y(n) + 5, "aria-hidden": "true" }, names[n])));
}

function map(scores, numbers, names) {
  const label = labelWidth(names), size = numbers.length * CELL;
  const cells = numbers.flatMap((i, a) => numbers.map((j, b) => svg("rect", {
    x: label + b * CELL, y: label + a * CELL, width: CELL - 1, height: CELL - 1, class: "cell", "fill-opacity": Math.sqrt(scores[i][j]).toFixed(3) },
    svg("title", {}, `${names[a]} → ${names[b]}: ${fixed(scores[i][j])}`))));
  return svg("svg", { class: "lines", viewBox: `0 0 ${label + size} ${label + size}`, width: label + size, height: label + size, role: "img", "aria-label": say("map") },
    cells,
    names.map((name, n) => svg("text", { x: label - 8, y: label + n * CELL + 14, "text-anchor": "end" }, name)),
    names.map((name, n) => svg("text", { transform: `translate(${label + n * CELL + 13}, ${label - 8}) rotate(-90)` }, name)));
}
