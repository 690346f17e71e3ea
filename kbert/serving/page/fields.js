// What a form asks for, by kind of model and view, and the instance that it makes.

const FIELDS = {
  qa: [
    { name: "question", label: "question" },
    { name: "context", label: "context", lines: 5 }],
  choice: [
    { name: "context", label: "choiceContext", lines: 2 },
    { name: "question", label: "choiceQuestion", optional: true },
    { name: "choices", label: "choices", lines: 3 }],
  pair: [
    { name: "text", label: "text", lines: 2 },
    { name: "second", label: "second", lines: 2 }],
  text: [{ name: "text", label: "text", lines: 3 }],
};

function isPair(model) {
  return model.fields.length > 1;
}

export function fieldsOf(model, view) {
  if (view === "similarity") return [{ name: "sentences", label: "sentences", lines: 6 }];
  const plain = FIELDS[isPair(model) ? "pair" : "text"];
  if (view === "tokens" || view === "attention") return plain;
  const own = FIELDS[model.kind] || plain;
  if (view !== "compare") return own;
  const others = own.map((field) => ({ ...field, name: `other_${field.name}`, other: true }));
  return [...own, ...others];
}

// What the model is asked, as `kbert predict` takes it.
export function instanceOf(model, values, prefix = "") {
  const get = (name) => values[prefix + name] || "";
  if (model.kind === "qa") return { question: get("question"), context: get("context") };
  if (model.kind === "choice") {
    const instance = { context: get("context"), choices: linesOf(get("choices")) };
    return get("question").trim() ? { ...instance, question: get("question") } : instance;
  }
  return textsOf(model, values, prefix);
}

// The same as one text or a pair.
export function textsOf(model, values, prefix = "") {
  const texts = { text: values[prefix + "text"] || "" };
  return isPair(model) ? { ...texts, second: values[prefix + "second"] || "" } : texts;
}

export function linesOf(text) {
  return text.split(/\r?\n/).map((line) => line.trim()).filter(Boolean);
}
