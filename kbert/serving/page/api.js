// What the page asks the server that it came from, and what can go wrong on the way.

const PREFIX = "/page/v1/";

export class Refused extends Error {
  // kind: gone (no server), token (one is asked for), long, busy, failed or refused.
  constructor(kind, message) {
    super(message);
    this.kind = kind;
  }
}

const KINDS = { 401: "token", 413: "long", 500: "failed", 503: "busy", 504: "busy" };

async function ask(path, options) {
  const headers = { "Content-Type": "application/json" };
  const token = sessionStorage.getItem("token");
  if (token) headers.Authorization = `Bearer ${token}`;
  let response, body;
  try {
    response = await fetch(PREFIX + path, { ...options, headers });
    body = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("gone", String(error));
  }
  if (!response.ok) throw new Refused(KINDS[response.status] || "refused", String(body.error));
  return body;
}

export async function models() {
  return (await ask("models", {})).models;
}

export async function answers(model, view, instances, signal) {
  const path = `models/${encodeURIComponent(model)}/${view}`;
  const body = JSON.stringify({ instances });
  return (await ask(path, { method: "POST", body, signal })).answers;
}
