// Words of the original text, from the pieces that the tokenizer made of it. Offsets count code
// points, which JavaScript's strings do not.

const WRITTEN = /[\p{L}\p{N}]/u, CHINESE = /\p{Script=Han}/u;
const MOST_PAIRS = 4e6; // of words that are compared: a second

export function slice(text, start, end) {
  return Array.from(text).slice(start, end).join("");
}

// [{text, start, end, tokens: [numbers], part}] of one of an instance's texts.
export function wordsOf(tokens, text, part = 0) {
  const words = [];
  tokens.forEach((token, number) => {
    if (token.text !== part) return;
    const last = words[words.length - 1];
    // Between two pieces of a word may stand what the tokenizer drops: an accent, a joiner.
    if (last && token.token.startsWith("##")) {
      last.end = Math.max(last.end, token.end);
      last.tokens.push(number);
    } else {
      words.push({ start: token.start, end: token.end, tokens: [number], part });
    }
  });
  const characters = Array.from(text);
  for (const word of words) {
    while (/\p{M}/u.test(characters[word.end] || "")) word.end += 1;
    word.text = characters.slice(word.start, word.end).join("");
  }
  return words;
}

// The text without a word, and without the space that stood before or behind it. What a hyphen or a
// comma parted stays apart.
export function without(text, word) {
  const characters = Array.from(text);
  let { start, end } = word;
  if (characters[start - 1] === " ") start -= 1;
  else if (characters[end] === " ") end += 1;
  const apart = [characters[start - 1], characters[end]].every((one) => one && WRITTEN.test(one) && !CHINESE.test(one));
  return [...characters.slice(0, start), ...(apart ? [" "] : []), ...characters.slice(end)].join("");
}

// Which words of b are not in a: the rest of their longest common subsequence. Where what lies
// between the common beginning and the common end is too long for it, that is all of it.
export function changed(a, b) {
  let first = 0, left = a.length, right = b.length;
  while (first < left && first < right && a[first] === b[first]) first++;
  while (left > first && right > first && a[left - 1] === b[right - 1]) { left--; right--; }
  if ((left - first) * (right - first) > MOST_PAIRS) return new Set(Array.from({ length: right - first }, (_, n) => first + n));
  return new Set([...withoutCommon(a.slice(first, left), b.slice(first, right))].map((n) => first + n));
}

function withoutCommon(a, b) {
  const length = Array.from({ length: a.length + 1 }, () => new Array(b.length + 1).fill(0));
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      length[i][j] = a[i] === b[j] ? length[i + 1][j + 1] + 1 : Math.max(length[i + 1][j], length[i][j + 1]);
  const found = new Set();
  let i = 0;
  for (let j = 0; j < b.length;) {
    if (i < a.length && a[i] === b[j]) { i++; j++; }
    else if (i < a.length && length[i + 1][j] >= length[i][j + 1]) i++;
    else found.add(j++);
  }
  return found;
}
