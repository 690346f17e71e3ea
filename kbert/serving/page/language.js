// The interface's sentences in both languages.

const SENTENCES = {
  skip: ["Skip to the model", "跳到模型"],
  model: ["Model", "模型"],
  other: ["中文", "English"],
  otherLabel: ["中文：切换到中文界面", "English: switch the interface to English"],
  checkpoint: ["checkpoint", "检查点"],
  export: ["export", "导出的模型"],
  local: [
    "Nothing leaves this machine: the page talks to the server it came from, and a link holds its text behind the #.",
    "数据不会离开本机：页面只与提供它的服务器通信，链接中的文本都在 # 之后。"],
  views: ["Views", "视图"],
  "view.answer": ["Answer", "预测"],
  "view.fill-mask": ["Fill the mask", "完形填空"],
  "view.similarity": ["Similarity", "相似度"],
  "view.attention": ["Attention", "注意力"],
  "view.tokens": ["Tokens", "词元"],
  "view.compare": ["Compare", "对比"],
  text: ["Text", "文本"],
  second: ["Second text", "第二段文本"],
  question: ["Question", "问题"],
  context: ["Text with the answer", "包含答案的文本"],
  choiceContext: ["What comes first", "上文"],
  choiceQuestion: ["Question (may be empty)", "问题（可以为空）"],
  choices: ["Choices, one a line", "选项，每行一个"],
  sentences: ["Sentences, one a line", "句子，每行一句"],
  original: ["Original", "原文"],
  edited: ["Edited", "修改后"],
  run: ["Run", "运行"],
  link: ["Copy link", "复制链接"],
  copied: ["Link copied.", "链接已复制。"],
  copyByHand: ["The browser did not let it be copied: the address of this page is the link.", "浏览器不允许自动复制：请复制地址栏里的网址。"],
  examples: ["Examples:", "示例："],
  empty: ["Write something above, or take an example.", "请在上面输入文本，或选择一个示例。"],
  loading: ["Computing …", "计算中……"],
  loadingModels: ["Loading the models …", "正在加载模型……"],
  noModels: ["The server has no models.", "服务器上没有模型。"],
  gone: ["The server does not answer. Is it still running?", "服务器没有响应，它还在运行吗？"],
  again: ["Try again", "重试"],
  token: ["The server asks for a token.", "服务器需要令牌。"],
  tokenLabel: ["Token", "令牌"],
  open: ["Open", "打开"],
  busy: ["The server is busy:", "服务器繁忙："],
  long: ["Too long:", "文本太长："],
  refused: ["The server refused this:", "服务器拒绝了请求："],
  cutTexts: ["{n} of these texts are longer than the model takes: their ends were cut.", "有 {n} 段文本超出模型的最大长度，末尾已被截断。"],
  cut: ["Too long for the model: {n} pieces did not fit and were cut.", "超出模型的最大长度：有 {n} 个词元放不下，已被截断。"],
  windows: ["Longer than one window: the model reads it in overlapping windows, and this view shows the first tokens.",
    "超过一个窗口：模型用重叠的窗口读取全文，此视图只显示开头的词元。"],
  "lacking.needs-checkpoint": [
    "An exported model gives one answer, no gradients and no attention. Start kbert playground with its checkpoint to see this.",
    "导出的模型只给出预测结果，没有梯度和注意力。要查看此视图，请用检查点启动 kbert playground。"],
  "lacking.no-attention": ["This architecture has no attention.", "该架构没有注意力。"],
  "lacking.needs-member": [
    "An ensemble is several models: choose one of its members.",
    "集成由几个模型组成：请选择其中一个。"],
  "lacking.no-gradient": ["This backend gives no gradients.", "该后端不提供梯度。"],
  hide: ["Click a word to hide it from the model", "点击一个词，对模型隐藏它"],
  hideNote: ["[MASK] in the text is a hidden word, too. Each hidden word is guessed while the others stay hidden. A text may have {n} hidden pieces.",
    "文本中的 [MASK] 也是被隐藏的词。预测其中一个时，其余的仍然被隐藏。一段文本最多有 {n} 个被隐藏的词元。"],
  top: ["Candidates", "候选数"],
  hideFirst: ["No word is hidden yet.", "还没有隐藏任何词。"],
  place: ["Hidden piece {n}: {word}", "第 {n} 个隐藏的词元：{word}"],
  wasThere: ["What was there: {word}, {score}", "原来的词：{word}，{score}"],
  contributions: ["What each word contributed", "每个词的贡献"],
  method: ["Method", "方法"],
  gradients: ["Integrated gradients", "积分梯度"],
  removal: ["Removal of the word", "去掉该词"],
  gradientsNote: [
    "Integrated gradients on the embeddings for {target}, {steps} steps. Baseline: every piece is [MASK], which gives {baseline}. The contributions add up to {sum}; answer minus baseline is {change}.",
    "对{target}在词嵌入上计算积分梯度，{steps} 步。基线：所有词元都是 [MASK]，此时为 {baseline}。贡献之和为 {sum}；预测减基线为 {change}。"],
  removalNote: [
    "By how much {target} falls when the word is left out and the text is read again. It need not agree with the gradients.",
    "去掉该词后重新预测，{target}下降多少。结果可能与积分梯度不一致。"],
  legend: ["Green speaks for it, red against it.", "绿色表示支持，红色表示反对。"],
  target: ["the probability of {label}", "“{label}”的概率"],
  targetValue: ["the number", "预测值"],
  applies: ["Labels that apply (probability at least {threshold}):", "适用的标签（概率不低于 {threshold}）："],
  none: ["none", "无"],
  number: ["Number", "数值"],
  chooseLabel: ["Choose a label to see what spoke for it.", "选择一个标签，查看哪些词支持它。"],
  spans: ["What was found", "识别结果"],
  noSpans: ["Nothing was found.", "没有识别到任何内容。"],
  tagTable: ["Every word and its tag", "每个词及其标签"],
  word: ["Word", "词"],
  tag: ["Tag", "标签"],
  score: ["Score", "分数"],
  type: ["Type", "类型"],
  answerIs: ["Answer", "答案"],
  noAnswer: ["The text does not say.", "文中没有答案。"],
  threshold: ["“No answer” scores {score} above the best span; above {threshold} it is the answer.",
    "“无答案”的得分比最佳答案片段高 {score}；超过 {threshold} 时即判为无答案。"],
  nbest: ["Best answers", "候选答案"],
  heat: ["Cosine of each two sentences", "两两句子的余弦相似度"],
  nearest: ["Nearest sentences of a file", "文件中最相近的句子"],
  file: ["Text file, a sentence a line (it is read here and computed by the server)", "文本文件，每行一句（在本页读取，由服务器计算）"],
  nearestTo: ["Nearest to", "查找与哪一句最相近："],
  tooMany: ["Only the first {n} lines are taken.", "只取前 {n} 行。"],
  fileEmpty: ["The file has no lines of text.", "文件中没有文本行。"],
  twoLines: ["Write two sentences or more.", "请至少输入两个句子。"],
  maps: ["Every head of every layer", "每一层的每个注意力头"],
  head: ["Layer {layer}, head {head}", "第 {layer} 层，第 {head} 个头"],
  layerName: ["layer {n}", "层 {n}"],
  headName: ["head {n}", "头 {n}"],
  specials: ["Show [CLS] and [SEP]", "显示 [CLS] 和 [SEP]"],
  shape: ["Picture", "图形"],
  lines: ["Lines", "连线"],
  map: ["Map", "热图"],
  linesNote: ["From each token on the left to what it looks at. Choose a token to see its lines alone.",
    "连线从左边的词元指向它所关注的词元。选择一个词元，只显示它的连线。"],
  mapNote: ["Rows look at columns.", "行是发出关注的词元，列是被关注的词元。"],
  notExplanation: [
    "Attention is not an explanation: a token that is looked at need not matter to the answer.",
    "注意力不等于解释：被关注的词元不一定影响结果。"],
  pieces: ["What the model sees", "模型看到的内容"],
  position: ["Position", "位置"],
  piece: ["Piece", "词元"],
  id: ["Id", "编号"],
  segment: ["Segment", "段号"],
  from: ["From", "来自"],
  wasCut: ["cut", "截断"],
  difference: ["Difference", "差异"],
  same: ["Both texts are the same: edit the second one.", "两段文本相同：请修改第二段。"],
  change: ["Change", "变化"],
};

let index = 0;

export function setLanguage(code) {
  index = code === "zh" ? 1 : 0;
  document.documentElement.lang = index ? "zh-CN" : "en";
}

export function language() {
  return index ? "zh" : "en";
}

// The sentence of a key, {name} replaced by values.
export function say(key, values = {}) {
  const sentences = SENTENCES[key];
  if (!sentences) return key;
  return sentences[index].replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}
