// The front page: asks this node to compare what somebody holds, and shows its answer as text.
// Invariant: nothing of an answer is ever read as HTML.

const WORDS = {
  zh: {
    match: "相符", differs: "不符", unchecked: "未核对",
    check_code: "校验码", total: "金额", day: "开票日期", payer: "交款人",
    good: "✓ 查验通过", not_good: "! 已不再有效", differs_: "✕ 不符", failed: "未能查验",
    state: "状态", archived: "财政已核验并归档票据内容", at: "账本时间",
    network: "网络", blocks: "区块", entries: "条目", keepers: "见证节点", health: "运行状态",
    away: "暂时无法连接，请稍后再试", title: "票据查验 · Tallystick", other: "English",
  },
  en: {
    match: "matches", differs: "differs", unchecked: "not compared",
    check_code: "Check code", total: "Total", day: "Date of issue", payer: "Payer",
    good: "✓ It matches", not_good: "! No longer good", differs_: "✕ It differs", failed: "Not checked",
    state: "State", archived: "Finance has checked and stored the body", at: "Ledger time",
    network: "Network", blocks: "Blocks", entries: "Entries", keepers: "Keepers", health: "Node",
    away: "The node cannot be reached; try again later", title: "Check a bill · Tallystick", other: "中文",
  },
};
const STATES = {
  issued: "已开具", settled: "已报销", partly_reversed: "部分冲红", reversed: "已冲红", reversing: "待冲红",
  frozen: "已冻结", withheld: "暂不可流转",
};
const get = (id) => document.getElementById(id);
const first = new URLSearchParams(location.search).get("lang") || navigator.language;
let language = first.startsWith("zh") ? "zh" : "en";
let last = null;

function element(name, text, children = []) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  made.append(...children);
  return made;
}

function translate() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.title = WORDS[language].title;
  for (const each of document.querySelectorAll("[data-en]")) {
    each.dataset.zh ??= each.textContent;
    each.textContent = each.dataset[language];
  }
  get("language").textContent = WORDS[language].other;
  get("language").lang = language === "zh" ? "en" : "zh-CN";
  if (last) show(last);
  facts();
}

function inFen(text) {
  const found = /^([0-9]{1,12})(?:\.([0-9]{1,2}))?$/.exec(text.trim());
  return found ? Number(found[1]) * 100 + Number((found[2] ?? "").padEnd(2, "0")) : null;
}

function held() {
  const asked = { code: Number(get("code").value), number: Number(get("number").value) };
  if (get("total").value) asked.total = inFen(get("total").value);
  for (const name of ["check_code", "day", "payer"]) {
    if (get(name).value.trim()) asked[name] = get(name).value.trim();
  }
  return asked;
}

// Canonical JSON: members by name; there are no numbers but integers, and no nesting.
function canonical(value) {
  return JSON.stringify(value, Object.keys(value).sort());
}

async function check() {
  let answer;
  try {
    const response = await fetch("/api/v1/bills/check", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: canonical(held()),
    });
    answer = await response.json();
  } catch {
    answer = { title: WORDS.en.away, title_zh: WORDS.zh.away };
  }
  last = answer;
  show(answer);
  get("answer").focus();
}

function show(answer) {
  const words = WORDS[language];
  const section = get("answer");
  const verdict = answer.verdict ?? "failed";
  section.className = verdict;
  const heading = element("h2", verdict === "differs" ? words.differs_ : words[verdict]);
  const chinese = language === "zh";
  const text = answer.verdict
    ? chinese ? answer.text_zh : answer.text
    : (chinese ? answer.title_zh : answer.title) + (answer.detail ? ` (${answer.detail})` : "");
  const parts = [heading, element("p", text)];
  if (answer.verdict) {
    parts.push(element("ul", "", compared(answer, words)));
    parts.push(element("p", chinese ? answer.caveat_zh : answer.caveat));
    parts.at(-1).className = "soft";
  } else if (answer.todo) {
    parts.push(element("p", chinese ? answer.todo_zh : answer.todo));
  }
  section.replaceChildren(...parts);
  section.hidden = false;
}

function compared(answer, words) {
  const lines = ["check_code", "total", "day", "payer"].map((name) =>
    element("li", `${words[name]}: ${words[answer[name] ?? "unchecked"]}`),
  );
  const state = language === "zh" ? (STATES[answer.state] ?? answer.state) : answer.state;
  if (state) lines.push(element("li", `${words.state}: ${state}`));
  if (answer.archived) lines.push(element("li", words.archived));
  lines.push(element("li", `${words.at}: ${answer.at}`));
  return lines;
}

async function facts() {
  const words = WORDS[language];
  try {
    const [network, health] = await Promise.all(
      ["/api/v1/network", "/api/v1/health"].map(async (path) => (await fetch(path)).json()),
    );
    get("where").textContent = network.origin;
    const keepers = Object.entries(health.keepers ?? {}).map(([name, { size }]) => `${name} (${size})`);
    const pairs = [
      [words.health, health.state],
      [words.blocks, String(network.block)],
      [words.entries, String(network.size)],
      [words.keepers, keepers.join(", ") || "–"],
    ];
    get("facts").replaceChildren(
      ...pairs.flatMap(([name, value]) => [element("dt", name), element("dd", value)]),
    );
  } catch {
    get("where").textContent = words.away;
  }
}

get("language").addEventListener("click", () => {
  language = language === "zh" ? "en" : "zh";
  translate();
});
get("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  check();
});
const given = new URLSearchParams(location.hash.slice(1));
for (const name of ["code", "number", "total", "check_code", "day", "payer"]) {
  if (given.has(name)) get(name).value = given.get(name);
}
translate();
