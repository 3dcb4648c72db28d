// The rail, the totals, saving, keys; and how a change runs through the page.

function drawRail() {
  $("rail").replaceChildren(...start.rules.map(ruleCard));
}

function ruleCard(rule) {
  const effect = whatIf?.rules.find((one) => one.rule === rule.name), routed = whatIf?.routed.find((one) => one.rule === rule.name);
  const active = ruleOf(S.name)?.name === rule.name;
  const takes = effect
    ? h("div", { class: "takes" }, ...[["alone", effect.alone], ["only it", effect.only], ["here", effect.here]].map(([word, n]) => h("span", {}, `${word} `, h("b", {}, count(n)))))
    : h("div", { class: "quiet" }, routed ? `sends ${count(routed.rows)} of the kept rows to be captioned` : isOn(rule) ? "not known here" : "off");
  const handles = handlesOf(rule);
  return h("section", { class: `rule${active ? " active" : ""}${isOn(rule) ? "" : " off"}`, "data-rule": rule.name },
    h("header", {},
      h("button", { type: "button", class: "choose", onclick: () => select(handles[0]?.handle.name || rule.name) }, rule.name),
      h("label", { class: "quiet", title: "on or off (e)" }, h("input", { type: "checkbox", checked: isOn(rule), "aria-label": `${rule.name} on`, onchange: (event) => change(rule, "enabled", event.target.checked) }), " on")),
    handles.map((p) => handleRow(rule, p)),
    handles.length ? null : h("code", { class: "quiet" }, rule.keep),
    takes);
}

function handleRow(rule, p) {
  const name = p.handle.name, now = currentValue(rule, p), share = shareKey(p), known = sparks.get(name);
  const input = h("input", {
    type: "number", step: "any", value: String(+Number(now).toPrecision(8)), "aria-label": name,
    onfocus: () => { if (S.name !== name) select(name, false); },
    onchange: (event) => { if (Number.isFinite(event.target.valueAsNumber)) change(rule, p.name, event.target.valueAsNumber); },
  });
  const label = share ? `${share} share` : `${p.name} ${SENSES[p.handle.sense]}`;
  return h("div", {},
    known ? spark(known) : null,
    h("div", { class: "row" }, h("span", { class: "quiet" }, label), input,
      h("button", { type: "button", class: "choose quiet", onclick: () => select(name), "aria-label": `Show ${name}` }, S.name === name ? "●" : "show")),
    now === savedValue(p) ? null : h("div", { class: "changed" }, `recipe: ${value(savedValue(p))}`));
}

function drawTotals() {
  const { all, kept, gained, lost, captions } = whatIf;
  const entry = (word, main, small) => h("div", {}, h("dt", {}, word), h("dd", { class: "number" }, main, " ", h("small", {}, small)));
  const flips = h("dd", { class: "number", id: "flips" }, h("span", { class: "gain" }, `+${count(gained)}`), " ", h("span", { class: "loss" }, `−${count(lost)}`));
  $("totals").replaceChildren(
    h("div", {}, h("dt", {}, "kept"), h("dd", { class: "number" }, h("span", { id: "kept", "data-rows": kept.rows }, count(kept.rows)), h("small", {}, ` of ${count(all.rows)}, ${percent(kept.rows / all.rows)}`))),
    entry("video", lasting(kept.seconds), `of ${lasting(all.seconds)}`),
    entry("visual tokens, estimated", short(kept.tokens), `of ${short(all.tokens)}`),
    captions ? entry("captioning, duplicates included", lasting(captions.seconds), `of one core for ${count(captions.rows)} clips, ${start.caption_s.how}`) : entry("captioning", "unknown", "in an exported page"),
    h("div", {}, h("dt", {}, whatIf.near === undefined ? "against the recipe" : `at ${value(whatIf.near)}, the nearest value known, against how it was exported`), flips));
}

function drawAbout() {
  const rule = ruleOf(S.name), parameter = parameterOf(S.name), measure = start.measures.find((one) => one.name === S.name);
  const pick = h("select", { "aria-label": "Distribution of a measure", onchange: (event) => select(event.target.value) },
    h("option", { value: S.name || "" }, "any measure …"), start.measures.map((one) => h("option", { value: one.name }, one.name)));
  const toggle = (key, values) => h("select", { "aria-label": key, onchange: (event) => { S[key] = event.target.value; writeAddress(); refreshChart(); } },
    values.map(([held, text]) => h("option", { value: held, selected: S[key] === held }, text)));
  const right = h("div", { class: "right" }, toggle("scale", [["linear", "even values"], ["log", "ratios"], ["quantile", "even counts"]]), toggle("counts", [["linear", "counts"], ["root", "roots of counts"]]), pick);
  const facts = measure ? `${measure.meaning}${measure.unit ? ` (${measure.unit})` : ""}`
    : rule ? [`keep: ${rule.keep}`, rule.kinds.length ? `only ${rule.kinds.join(", ")}` : "", `unknown: ${rule.unscored}`, rule.otherwise === "recaption" ? "what fails is captioned anew" : "", parameter?.model ? `model ${parameter.model}` : "", parameter?.scale || ""].filter(Boolean).join(" · ") : "";
  $("about").replaceChildren(
    h("div", { class: "line" }, h("h2", {}, S.name || ""), right),
    h("p", {}, h("code", {}, facts)),
    rule ? h("p", { class: "quiet" }, rule.why) : null,
    parameter?.origin ? h("p", { class: "quiet" }, `Origin of the recipe's value: ${parameter.origin}`) : null,
    warningOf(rule) || "");
}

function warningOf(rule) {
  const effect = whatIf?.rules.find((one) => one.rule === rule?.name);
  if (!effect || effect.alone <= 0.9 * whatIf.all.rows) return null;
  return h("p", { class: "loss" }, `It rejects ${percent(effect.alone / whatIf.all.rows)} of all rows: is the direction right?`);
}

const sparks = new Map();
async function loadSparks() {
  for (const rule of start.rules) for (const p of handlesOf(rule)) {
    try {
      sparks.set(p.handle.name, await ask("histogram", { name: p.handle.name }));
    } catch (error) {
      complain(error);
    }
  }
  drawRail();
}

function select(name, redraw = true) {
  S.name = name;
  writeAddress();
  if (redraw) drawRail();
  else for (const place of document.querySelectorAll(".rule")) place.classList.toggle("active", place.dataset.rule === ruleOf(name)?.name);
  drawAbout();
  refreshChart();
  if (S.tab === "boundary" || S.tab === "votes") drawPanel();
  seekAdvice();
}

function refreshChart() {
  if (!parameterOf(S.name) && !start.measures.some((one) => one.name === S.name)) {
    histogram = null;
    return drawChart();
  }
  latest("histogram", () => ask("histogram", { name: S.name, scale: S.scale }), (found) => { histogram = found; drawChart(); });
}

let later = 0;
function changed() {
  drawChart();
  const held = document.activeElement?.getAttribute?.("aria-label");
  latest("what_if", () => ask("what_if"), (found) => {
    whatIf = found;
    drawTotals();
    drawRail();
    drawAbout();
    if (held) document.querySelector(`#rail [aria-label="${CSS.escape(held)}"]`)?.focus();
    document.body.dataset.settled = JSON.stringify(S.changes);
    if (["waterfall", "corpora"].includes(S.tab)) drawPanel();
  });
  clearTimeout(later);
  later = setTimeout(() => {
    if (["boundary", "overlap", "changed"].includes(S.tab)) drawPanel();
    if (parameterOf(S.name) && shareKey(parameterOf(S.name))) refreshChart();
  }, 180);
}

async function begin() {
  start = await ask("start");
  S.step = start.step;
  votes = start.votes;
  document.title = `Reelmix: tune ${start.out}`;
  $("where").textContent = `${start.out} · recipe ${start.recipe}`;
  $("step").replaceChildren(...start.steps.map((step) => h("option", { value: step, selected: step === start.step }, step)));
  $("review").textContent = start.target ? `Review & save to ${start.target}` : "Review";
  const first = start.rules.flatMap(handlesOf)[0];
  if (!S.name || !(ruleOf(S.name) || start.measures.some((one) => one.name === S.name))) S.name = first?.handle.name || start.rules[0]?.name || null;
  whatIf = await ask("what_if");
  drawTotals();
  drawRail();
  drawAbout();
  drawTabs();
  refreshChart();
  drawPanel();
  seekAdvice();
  document.body.dataset.settled = JSON.stringify(S.changes);
  await loadSparks();
}

function reset() {
  S.changes = DATA ? DATA.changes : {};
  writeAddress();
  changed();
}

async function review() {
  const settings = Object.entries(S.changes).flatMap(([rule, keys]) => Object.entries(keys).map(([key, to]) =>
    `filter.${rule}.${key}=${typeof to === "object" ? `{${Object.entries(to).map(([side, n]) => `${side}=${n}`)}}` : to}`));
  if (!settings.length) return dialog(h("h2", {}, "Nothing is changed"), h("p", {}, "Every threshold is the recipe's."), closing());
  const command = h("pre", {}, `make run OUT=${start.out} SET="${settings.join(" ")}"`);
  const counts = h("p", {}, `Keeps ${count(whatIf.kept.rows)} rows: +${count(whatIf.gained)} −${count(whatIf.lost)} against ${DATA ? "how it was exported" : "the recipe"}.`);
  if (!start.target) {
    return dialog(h("h2", {}, "As a command"), counts, command,
      h("p", { class: "quiet" }, DATA ? "This is an exported page." : "This page may not write. Start it with --save FILE (make tune SAVE=mine.toml) to save into a recipe."), closing());
  }
  try {
    const found = await ask("review");
    const note = h("input", { id: "note", required: true, placeholder: "why? (kept in the recipe's history)", "aria-label": "Note" });
    const form = h("form", { onsubmit: (event) => { event.preventDefault(); void write(found, note.value); } }, note,
      h("div", { class: "end" }, h("button", { type: "button", onclick: () => $("dialog").close() }, "Cancel"), h("button", { class: "primary", id: "save" }, `Save to ${found.file}`)));
    const lines = found.diff.split("\n").map((text) => h("span", { class: text.startsWith("+") ? "add" : text.startsWith("-") ? "cutline" : "" }, `${text}\n`));
    dialog(h("h2", {}, `What changes in ${found.file}`), counts, h("pre", { id: "diff" }, lines), form, h("p", { class: "quiet" }, "or as a command:"), command);
    note.focus();
  } catch (error) {
    complain(error);
  }
}

async function write(found, note) {
  try {
    const saved = await ask("save", { digest: found.digest, note });
    S.changes = {};
    writeAddress();
    await begin();
    dialog(h("h2", {}, "Saved"), h("p", { id: "saved" }, `${saved.file} holds the new thresholds; its history says why.`), closing());
  } catch (error) {
    complain(error);
    $("dialog").close();
  }
}

const closing = () => h("div", { class: "end" }, h("button", { type: "button", onclick: () => $("dialog").close() }, "Close"));
function dialog(...children) {
  $("dialog").replaceChildren(...children);
  if (!$("dialog").open) $("dialog").showModal();
}

async function exported() {
  try {
    const { html, file } = await ask("export", { name: S.name });
    const link = h("a", { href: URL.createObjectURL(new Blob([html], { type: "text/html" })), download: file });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  } catch (error) {
    complain(error);
  }
}

const KEYS = [
  ["← →", "move the threshold by a hundredth of the rows; with shift by ten"], ["[ ]", "the rule before, the rule after"],
  ["j k", "the next clip, the one before"], ["g b u", "vote good, bad, unsure on the clip"], ["space", "play the clip"],
  ["e", "rule on or off"], ["r", "back to the recipe"], ["s", "review and save"], ["x", "export"], ["1 … 8", "the tabs"], ["?", "these keys"],
];
function help() {
  dialog(h("h2", {}, "Keys"), h("div", { class: "keys" }, KEYS.flatMap(([key, text]) => [h("kbd", {}, key), h("span", {}, text)])), closing());
}

// To the value that a hundredth more or less of the known rows lies below.
function nudge(by) {
  const parameter = parameterOf(S.name), rule = ruleOf(S.name);
  if (!parameter || !histogram) return;
  const now = currentValue(rule, parameter);
  if (shareKey(parameter)) return change(rule, parameter.name, +Math.min(1, Math.max(0.01, now + by / 100)).toFixed(4));
  const marks = histogram.quantiles, above = marks.findIndex((mark) => mark > now);
  const at = by > 0 ? (above < 0 ? marks.length - 1 : above + by - 1) : marks.findLastIndex((mark) => mark < now) + by + 1;
  const to = marks[Math.min(Math.max(at, 0), marks.length - 1)];
  change(rule, parameter.name, Number.isInteger(savedValue(parameter)) && Number.isInteger(to) ? to : +to.toPrecision(6));
}

function neighbour(by) {
  const names = start.rules.flatMap((rule) => (handlesOf(rule).length ? handlesOf(rule).map((p) => p.handle.name) : [rule.name]));
  select(names[Math.min(Math.max(names.indexOf(S.name) + by, 0), names.length - 1)]);
  document.querySelector(".rule.active")?.scrollIntoView({ block: "nearest" });
}

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || $("dialog").open) return;
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox";
  if (typing) return;
  const clip = document.activeElement?.closest?.(".card");
  const on = {
    ArrowRight: () => nudge(event.shiftKey ? 10 : 1), ArrowLeft: () => nudge(event.shiftKey ? -10 : -1),
    "[": () => neighbour(-1), "]": () => neighbour(1), j: () => step(1), k: () => step(-1),
    e: () => { const rule = ruleOf(S.name); if (rule) change(rule, "enabled", !isOn(rule)); },
    r: reset, s: () => void review(), x: () => void exported(), "?": help,
  };
  const mark = VOTES.find(([, key]) => key === event.key);
  if (mark && clip) void vote(clip.dataset.id, mark[0]);
  else if (event.key === " " && clip && event.target === clip) clip.play();
  else if (/^[1-8]$/.test(event.key)) choose(Object.keys(TABS)[+event.key - 1]);
  else if (on[event.key] && !(event.target.tagName === "VIDEO")) on[event.key]();
  else return;
  event.preventDefault();
}

$("reset").addEventListener("click", reset);
$("review").addEventListener("click", () => void review());
$("export").addEventListener("click", () => void exported());
$("help").addEventListener("click", help);
$("step").addEventListener("change", (event) => { Object.assign(S, { step: event.target.value, name: null, changes: {} }); sparks.clear(); writeAddress(); void begin().catch(complain); });
addEventListener("keydown", pressed);
addEventListener("resize", drawChart);
if (DATA) { Object.assign(S, DATA.state); $("export").hidden = true; $("step").disabled = true; } else readAddress();
listenToDrags();
begin().catch(complain);
