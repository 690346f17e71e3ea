// The views: name -> what makes their elements of the page's state and the server's answers.

import { answerView } from "./view_answer.js";
import { attentionView } from "./view_attention.js";
import { compareView } from "./view_compare.js";
import { fillMaskView } from "./view_fill_mask.js";
import { similarityView } from "./view_similarity.js";
import { tokensView } from "./view_tokens.js";

export const VIEWS = {
  answer: answerView,
  "fill-mask": fillMaskView,
  similarity: similarityView,
  compare: compareView,
  attention: attentionView,
  tokens: tokensView,
};

// Of a model; a view that it lacks is there too, with the reason in it.
export function tabsOf(model) {
  if (model.kind === "fill-mask") return ["fill-mask", "similarity", "attention", "tokens"];
  if (model.kind === "embedding") {
    const lacks = "fill-mask" in model.lacking ? ["fill-mask"] : [];
    return ["similarity", ...lacks, "attention", "tokens"];
  }
  return ["answer", "compare", "attention", "tokens"];
}
