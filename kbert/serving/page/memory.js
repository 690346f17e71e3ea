// What the browser remembers: the language for good, the token until the tab is closed. A browser
// that allows neither throws at the first look.

export function remember(storage, name, value) {
  try { window[storage].setItem(name, value); } catch { /* It is asked for again. */ }
}

export function remembered(storage, name) {
  try { return window[storage].getItem(name); } catch { return null; }
}
