// The page: which model and view, what is written in the form, and the state of the answer.
// All of it stands in the URL's fragment, which no browser sends to a server.

import { Refused, answers, models } from "./api.js";
import { el } from "./dom.js";
import { examplesOf } from "./examples.js";
import { fieldsOf } from "./fields.js";
import { language, say, setLanguage } from "./language.js";
import { remember, remembered } from "./memory.js";
import { VIEWS, tabsOf } from "./views.js";

const WAIT = 350; // milliseconds without a key until the text is read
const SOON = 150; // until an answer that is not there is called late
const MOST_LINK = 20000; // characters: a longer text is not worth a link

const state = { models: [], model: null, view: null, values: {}, missing: null };
let running = new AbortController();
let timer = 0;
const part = (id) => document.getElementById(id);

// ---- the fragment

function readFragment() {
  const given = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
  const { model, view, ...values } = given;
  state.values = values;
  const known = state.models.find((found) => found.name === model);
  state.missing = model && !known ? model : null;
  state.model = known || state.models[0];
  const tabs = tabsOf(state.model);
  state.view = tabs.includes(view) ? view : tabs[0];
}

// What the view shows, and no text of another one. Says whether there is room for all of it.
function writeFragment() {
  const place = { model: state.model.name, view: state.view }, given = { ...place };
  const names = [...fieldsOf(state.model, state.view).map((field) => field.name), "hidden", "top"];
  for (const name of names) if (state.values[name]) given[name] = state.values[name];
  const whole = "#" + new URLSearchParams(given), fits = whole.length <= MOST_LINK;
  history.replaceState(null, "", fits ? whole : "#" + new URLSearchParams(place));
  return fits;
}

// ---- what stands around the answer

function drawHeader() {
  const select = el("select", { id: "model", "aria-label": say("model"), onchange: () => choose({ model: select.value }) },
    state.models.map((model) => el("option", { value: model.name, selected: model === state.model },
      `${model.name} (${say(model.form)})`)));
  part("header").replaceChildren(
    el("h1", { class: "name" }, el("img", { src: "/page/icon.svg", alt: "" }), "kbert"),
    state.models.length ? select : "",
    el("span", { class: "spring" }),
    el("button", { type: "button", id: "language", lang: language() === "en" ? "zh-CN" : "en", "aria-label": say("otherLabel"), onclick: switchLanguage },
      say("other")));
  part("skip").textContent = say("skip");
  part("footer").replaceChildren(el("p", {}, say("local")));
}

function drawTabs() {
  part("views").setAttribute("aria-label", say("views"));
  part("views").replaceChildren(...tabsOf(state.model).map((view) =>
    el("button", { type: "button", id: `view-${view}`, "aria-current": view === state.view ? "page" : null, onclick: () => choose({ view }) },
      say(`view.${view}`))));
}

function switchLanguage() {
  setLanguage(language() === "en" ? "zh" : "en");
  remember("localStorage", "language", language());
  if (state.model) draw(); else begin();
  part("language").focus();
}

function choose({ model, view }) {
  const focused = document.activeElement?.id;
  if (model) state.model = state.models.find((found) => found.name === model);
  state.missing = null;
  const tabs = tabsOf(state.model);
  state.view = tabs.includes(view || state.view) ? view || state.view : tabs[0];
  state.values.hidden = "";
  draw();
  if (focused) part(focused)?.focus();
}

// ---- the form

function drawForm() {
  const lacking = state.model.lacking[state.view];
  if (lacking) {
    part("main").replaceChildren(el("div", { class: "card" }, el("p", { id: "lacking" }, say(`lacking.${lacking}`))));
    return;
  }
  const form = el("form", { class: "card", id: "form", onsubmit: (event) => { event.preventDefault(); run(); } });
  const fields = fieldsOf(state.model, state.view);
  const columns = [false, true].map((other) => fields.filter((field) => Boolean(field.other) === other)).filter((found) => found.length);
  form.append(el("div", { class: "columns" }, columns.map(drawColumn)));
  form.append(el("div", { class: "line" },
    el("button", { class: "main", type: "submit", id: "run" }, say("run")),
    el("button", { type: "button", id: "link", onclick: copyLink }, say("link")),
    el("span", { id: "copied", role: "status", class: "soft" })));
  form.append(drawExamples());
  part("main").replaceChildren(state.missing ? el("p", { class: "notice bad", role: "alert" }, say("noSuchModel", { name: state.missing })) : "", form,
    el("div", { id: "status", class: "status", role: "status" }), el("div", { id: "answer", "aria-busy": "false" }));
}

function drawColumn(column) {
  if (state.view !== "compare") return el("div", {}, column.map(drawField));
  return el("fieldset", {}, el("legend", {}, say(column[0].other ? "edited" : "original")), column.map(drawField));
}

function drawField(field) {
  const input = el(field.lines ? "textarea" : "input", {
    id: field.name, type: field.lines ? null : "text", spellcheck: "false", rows: field.lines || null,
    value: state.values[field.name] || "",
    oninput: () => { state.values[field.name] = input.value; state.values.hidden = ""; later(); },
    onkeydown: (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); run(); } },
  });
  return el("div", {}, el("label", { for: field.name }, say(field.label)), input);
}

function drawExamples() {
  const kind = state.view === "similarity" ? "similarity" : state.model.kind;
  const buttons = examplesOf(kind, state.model.fields, language()).map(({ code, values }, number) =>
    el("button", { type: "button", id: `example-${number}`, lang: code === "zh" ? "zh-CN" : "en", onclick: () => takeExample(values) },
      values.question || values.text || values.context || values.sentences.split("\n")[0]));
  return el("div", { class: "examples" }, el("span", { class: "soft" }, say("examples")), buttons);
}

function takeExample(values) {
  const names = { ...values };
  if (state.view === "compare") for (const [name, value] of Object.entries(values)) names[`other_${name}`] = value;
  // Views of tokens see a question and its text as a pair.
  if (values.question !== undefined && ["tokens", "attention"].includes(state.view)) {
    names.text = values.choices ? values.context : values.question;
    names.second = values.choices ? values.choices.split("\n")[0] : values.context;
  }
  const focused = document.activeElement?.id;
  Object.assign(state.values, names, { hidden: "" });
  drawForm();
  run();
  part(focused)?.focus();
}

async function copyLink() {
  let told = writeFragment() ? "copied" : "tooLongForLink";
  if (told === "copied") try { await navigator.clipboard.writeText(location.href); } catch { told = "copyByHand"; }
  part("copied").textContent = say(told);
}

// ---- the answer

function later() {
  clearTimeout(timer);
  timer = setTimeout(run, WAIT);
}

function notice(nodes, bad = false) {
  part("status").replaceChildren(...(nodes ? [el("div", { class: bad ? "notice bad" : "notice" }, nodes)] : []));
}

function described(error, retry = run) {
  if (!(error instanceof Refused)) return [String(error)];
  const again = el("button", { type: "button", id: "again", onclick: retry }, say("again"));
  if (error.kind === "gone") return [say("gone"), again];
  if (error.kind === "busy") return [say("busy"), " ", error.message, again];
  if (error.kind === "failed") return [error.message, again];
  return [say(error.kind), " ", error.message];
}

async function run() {
  clearTimeout(timer);
  running.abort();
  const own = (running = new AbortController());
  if (!part("answer")) return;
  writeFragment();
  const { model, view, values } = state;
  const needed = fieldsOf(model, view).filter((field) => !field.optional);
  if (needed.some((field) => !(values[field.name] || "").trim())) {
    part("answer").replaceChildren();
    part("answer").setAttribute("aria-busy", "false");
    notice([say("empty")]);
    return;
  }
  const late = setTimeout(() => notice([el("span", { class: "busy" }, say("loading"))]), SOON);
  part("answer").setAttribute("aria-busy", "true");
  const page = {
    model, values,
    ask: (name, instances) => answers(model.name, name, instances, own.signal),
    set: (name, value) => { state.values[name] = value; run(); },
    // A part of the answer that comes later than the rest, with states of its own.
    fill: (node, make) => fill(node, make, own.signal),
  };
  try {
    const nodes = await VIEWS[view](page);
    if (own.signal.aborted) return;
    notice(null);
    replaceKeepingFocus(part("answer"), nodes);
  } catch (error) {
    if (error.name === "AbortError" || own.signal.aborted) return;
    if (error.kind === "token") return askForToken();
    notice(described(error), true);
    part("answer").replaceChildren();
  } finally {
    clearTimeout(late);
    if (!own.signal.aborted) part("answer")?.setAttribute("aria-busy", "false");
  }
}

async function fill(node, make, signal) {
  node.replaceChildren(el("p", { class: "busy soft" }, say("loading")));
  try {
    const nodes = await make();
    if (!signal.aborted) replaceKeepingFocus(node, nodes);
  } catch (error) {
    if (error.name === "AbortError" || signal.aborted) return;
    node.replaceChildren(el("div", { class: "notice bad" }, described(error)));
  }
}

// A button that was pressed is there again, under the same key, and a keyboard goes on from it.
function replaceKeepingFocus(node, nodes) {
  const key = node.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  node.replaceChildren(...nodes.filter(Boolean));
  if (key) node.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus();
}

// ---- the beginning

function askForToken() {
  const input = el("input", { type: "password", id: "token", autocomplete: "off" });
  part("views").replaceChildren();
  part("main").replaceChildren(el("form", { class: "card", onsubmit: (event) => {
    event.preventDefault();
    remember("sessionStorage", "token", input.value.trim());
    begin();
  } }, el("p", { role: "status" }, say(remembered("sessionStorage", "token") ? "wrongToken" : "token")), el("label", { for: "token" }, say("tokenLabel")), input,
    el("div", { class: "line" }, el("button", { class: "main" }, say("open")))));
  input.focus();
}

function draw() {
  drawHeader();
  drawTabs();
  drawForm();
  run();
}

async function begin() {
  drawHeader();
  part("main").replaceChildren(el("p", { class: "card busy", role: "status" }, say("loadingModels")));
  try {
    state.models = await models();
  } catch (error) {
    if (error.kind === "token") return askForToken();
    part("main").replaceChildren(el("div", { class: "card" }, el("div", { class: "notice bad", role: "alert" },
      described(error, begin))));
    return;
  }
  if (!state.models.length) {
    part("main").replaceChildren(el("p", { class: "card" }, say("noModels")));
    return;
  }
  readFragment();
  draw();
}

part("skip").addEventListener("click", (event) => { event.preventDefault(); part("main").focus(); });
window.addEventListener("hashchange", () => { if (state.models.length) { readFragment(); draw(); } });
setLanguage(remembered("localStorage", "language") || (navigator.language.startsWith("zh") ? "zh" : "en"));
begin();
