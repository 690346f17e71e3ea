// Elements without a framework. Text is always text: nothing here reads HTML.

const SVG = "http://www.w3.org/2000/svg";

export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

// A rectangle of colour, its strength from 0 to 1. Styles set by script are within the page's policy.
export function shade(node, name, strength) {
  node.style.backgroundColor = `rgba(var(${name}), ${Math.min(1, strength).toFixed(3)})`;
  return node;
}

// Buttons of which one is chosen.
export function chooser(label, options, chosen, choose) {
  const buttons = options.map(([value, text]) =>
    el("button", { type: "button", "aria-pressed": String(value === chosen), onclick: () => choose(value) }, text));
  return el("div", { class: "choice", role: "group", "aria-label": label }, buttons);
}

export function fixed(number, digits = 3) {
  return number.toFixed(digits).replace("-", "\u2212");
}

export function signed(number, digits = 3) {
  return (number >= 0 ? "+" : "") + fixed(number, digits);
}
