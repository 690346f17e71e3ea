// Examples of every kind, in English and Chinese.

export const EXAMPLES = {
  "fill-mask": {
    en: [{ text: "The old fisherman rowed his [MASK] across the lake." }, { text: "She put on a warm coat because it was very [MASK] outside." }, { text: "Paris is the capital of France, and Rome is the capital of Italy." }],
    zh: [{ text: "冬天很[MASK]，孩子们在外面堆雪人。" }, { text: "北京是中国的首都。" }],
  },
  text: {
    en: [{ text: "The actors are fine, but the story is dull and far too long." }, { text: "A warm and funny film that I would gladly see again." }, { text: "Stir the onions in butter until they are soft." }, { text: "Dark clouds gathered over the hills before the storm." }],
    zh: [{ text: "这部电影节奏太慢，但演员演得很好。" }, { text: "把洋葱放进锅里，用小火慢慢炒软。" }],
  },
  pair: {
    en: [{ text: "A man is playing the guitar on a stage.", second: "Somebody plays music for an audience." }, { text: "The children are asleep.", second: "The kids are running in the garden." }],
    zh: [{ text: "他每天骑自行车上班。", second: "他不开车去公司。" }],
  },
  tagging: {
    en: [{ text: "Marie Curie was born in Warsaw and later taught at the University of Paris." }, { text: "In March the painter Anna Berg moved from Oslo to New York, where she worked for the Harbour Museum." }],
    zh: [{ text: "李明去年从上海搬到北京，现在在清华大学读书。" }],
  },
  qa: {
    en: [{ question: "Where does the river begin?", context: "The river begins at a small spring in the northern hills. It passes three towns, turns south at the old mill, and reaches the sea near the lighthouse after two hundred kilometres." }, { question: "Who built the bridge?", context: "The stone bridge was built by the mason Peter Holm in 1782, after a flood had carried away the wooden one." }],
    zh: [{ question: "图书馆几点关门？", context: "市图书馆每天上午九点开门，晚上八点关门。周一上午因整理书架不开放。" }],
  },
  choice: {
    en: [{ context: "Anna put the kettle on the stove and lit the flame.", question: "", choices: "A minute later the water began to boil.\nThe stove flew out of the window.\nShe had never liked mountains." }],
    zh: [{ context: "小华没带雨伞，路上下起了大雨。", question: "", choices: "他到家时衣服都湿透了。\n他把大海喝光了。\n太阳把雪晒化了。" }],
  },
  similarity: {
    en: [{ sentences: "The cat sleeps on the sofa.\nA kitten is napping on the couch.\nThe train to Hamburg is late again.\nOur train was delayed this morning.\nBoil the rice for ten minutes." }],
    zh: [{ sentences: "猫在沙发上睡觉。\n小猫正在打盹。\n去上海的火车又晚点了。\n米饭要煮十分钟。" }],
  },
};

// The examples for a kind of model and its fields, those of the interface's language first.
export function examplesOf(kind, fields, language) {
  const pair = fields.length > 1;
  const found = EXAMPLES[kind] || EXAMPLES[pair ? "pair" : "text"];
  const first = language === "zh" ? ["zh", "en"] : ["en", "zh"];
  return first.flatMap((code) => found[code].map((values) => ({ code, values })));
}
