// What the page asks the server that it came from, and what can go wrong on the way.

import { remembered } from "./memory.js";

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
  const token = remembered("sessionStorage", "token");
  // A header holds no other characters, and no token of a server has them.
  if (token && !/^[\x21-\x7e]+$/.test(token)) throw new Refused("token", "");
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
