// The rail, the totals, saving, keys; and how a change runs through the page.

// The card that people are just in is mended, not replaced: what is held or half typed stays.
function drawRail() {
  const held = document.activeElement?.closest("#rail .rule");
  const made = start.rules.map(ruleCard), same = made.find((one) => one.dataset.rule === held?.dataset.rule);
  if (!same) return put($("rail"), ...made);
  mend(held, same);
  const at = made.indexOf(same);
  while (held.previousSibling) held.previousSibling.remove();
  while (held.nextSibling) held.nextSibling.remove();
  held.before(...made.slice(0, at));
  held.after(...made.slice(at + 1));
}

function mend(held, made) {
  const pairs = (kind) => { const now = [...made.querySelectorAll(kind)]; return [...held.querySelectorAll(kind)].map((one, n) => [one, now[n]]); };
  held.className = made.className;
  for (const [one, now] of pairs(".part")) one.replaceWith(now);
  for (const [one, now] of pairs("button")) if (one.textContent !== now.textContent) one.textContent = now.textContent;
  for (const [one, now] of pairs("input")) {
    one.checked = now.checked;
    one.title = now.title;
    if (!one.dataset.typing) one.value = now.value;
  }
}

// A long name may break behind its underscores.
const breaking = (name) => name.split(/(?<=[_.])/).flatMap((part) => [part, h("wbr")]);

function ruleCard(rule) {
  const effect = whatIf?.rules.find((one) => one.rule === rule.name), routed = whatIf?.routed.find((one) => one.rule === rule.name);
  const active = ruleOf(S.name)?.name === rule.name;
  const takes = effect
    ? h("div", { class: "takes part" }, ...[["alone", effect.alone], ["only it", effect.only], ["here", effect.here]].map(([word, n]) => h("span", {}, `${word} `, h("b", {}, count(n)))))
    : h("div", { class: "quiet part" }, routed ? `sends ${count(routed.rows)} of the kept rows to be captioned` : isOn(rule) ? "not known here" : "off");
  const handles = handlesOf(rule);
  return h("section", { class: `rule${active ? " active" : ""}${isOn(rule) ? "" : " off"}`, "data-rule": rule.name },
    h("header", {},
      h("button", { type: "button", class: "choose", onclick: () => select(handles[0]?.handle.name || rule.name) }, breaking(rule.name)),
      h("label", { class: "quiet", title: "on or off (e)" }, h("input", { type: "checkbox", checked: isOn(rule), "aria-label": `${rule.name} on`, onchange: (event) => change(rule, "enabled", event.target.checked) }), "on")),
    handles.map((p) => handleRow(rule, p)),
    handles.length ? null : h("code", { class: "quiet" }, rule.keep),
    takes);
}

function handleRow(rule, p) {
  const name = p.handle.name, now = currentValue(rule, p), share = shareKey(p), known = sparks.get(name);
  const chosen = () => { if (S.name !== name) select(name); };
  const input = h("input", {
    type: "number", step: share ? "0.01" : "any", value: String(+Number(now).toPrecision(8)), title: String(now), "aria-label": name, onfocus: chosen,
    oninput: (event) => { event.target.dataset.typing = "yes"; },
    onchange: (event) => {
      delete event.target.dataset.typing;
      if (Number.isFinite(event.target.valueAsNumber)) change(rule, p.name, event.target.valueAsNumber);
      else event.target.value = String(currentValue(rule, p));
    },
  });
  const slider = share ? h("input", { type: "range", min: 0, max: 1, step: 0.01, value: now, "aria-label": `${name}, share`, onfocus: chosen, oninput: (event) => change(rule, p.name, event.target.valueAsNumber) }) : null;
  const label = share ? `${share} share` : `${p.name} ${SENSES[p.handle.sense]}`;
  return h("div", {},
    h("div", { class: "part" }, known?.quantiles.length ? spark(known) : null),
    h("div", { class: "row" }, h("span", { class: "quiet" }, label), input,
      h("button", { type: "button", class: "choose quiet", onclick: () => select(name), "aria-label": `Show ${name}` }, S.name === name ? "●" : "show")),
    slider,
    h("div", { class: "changed part" }, now === savedValue(p) ? null : `recipe: ${value(savedValue(p))}`));
}

function drawTotals() {
  const { all, kept, gained, lost, captions } = whatIf;
  const entry = (word, main, small) => h("div", {}, h("dt", {}, word), h("dd", { class: "number" }, main, " ", h("small", {}, small)));
  const flips = h("dd", { class: "number", id: "flips" }, h("span", { class: "gain" }, `+${count(gained)}`), " ", h("span", { class: "loss" }, `−${count(lost)}`));
  $("totals").replaceChildren(
    h("div", {}, h("dt", {}, "kept"), h("dd", { class: "number" }, h("span", { id: "kept", "data-rows": kept.rows }, count(kept.rows)), h("small", {}, ` of ${count(all.rows)}, ${percent(kept.rows / all.rows)}`))),
    entry("video", lasting(kept.seconds), `of ${lasting(all.seconds)}`),
    entry("visual tokens, estimated", short(kept.tokens), all.tokens === undefined ? null : `of ${short(all.tokens)}`),
    captions ? entry("captioning, duplicates included", lasting(captions.seconds), `of one core for ${count(captions.rows)} clips, ${start.caption_s.how}`) : entry("captioning", "unknown", DATA ? "in an exported page" : "at this step"),
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
  put($("about"),
    h("div", { class: "line" }, h("h2", {}, S.name || ""), right),
    h("p", {}, h("code", {}, facts)),
    rule ? h("p", { class: "quiet" }, rule.why) : null,
    parameter?.origin ? h("p", { class: "quiet" }, `Origin of the recipe's value: ${parameter.origin}`) : null,
    warningOf(rule));
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

function select(name) {
  S.name = name;
  few = FEW;
  writeAddress();
  drawRail();
  drawAbout();
  refreshChart();
  if (S.tab === "boundary" || S.tab === "votes") drawPanel();
  seekAdvice();
}

// What a histogram depends on besides its name: the other rules, and the own one of a share.
function basis() {
  const parameter = parameterOf(S.name), own = parameter && !shareKey(parameter) ? ruleOf(S.name).name : null;
  return JSON.stringify([S.name, S.scale, { ...S.changes, [own]: undefined }]);
}

let drawnFrom = null;
function refreshChart() {
  drawnFrom = basis();
  if (!parameterOf(S.name) && !start.measures.some((one) => one.name === S.name)) {
    histogram = null;
    return drawChart();
  }
  latest("histogram", () => ask("histogram", { name: S.name, scale: S.scale }), (found) => { histogram = found; drawChart(); });
}

let later = 0, good = {};
function changed() {
  drawChart();
  latest("what_if", () => ask("what_if"), accept, (error) => {
    complain(error);
    if (error.refused) putBack();
  });
}

function accept(found) {
  whatIf = found;
  good = S.changes;
  writeAddress();
  drawTotals();
  drawRail();
  drawAbout();
  document.body.dataset.settled = JSON.stringify(S.changes);
  if (["waterfall", "corpora"].includes(S.tab)) drawPanel();
  clearTimeout(later);
  later = setTimeout(() => {
    if (["boundary", "overlap", "changed", "votes"].includes(S.tab)) drawPanel();
    if (basis() !== drawnFrom) refreshChart();
  }, 180);
}

// A refused value stands nowhere: the numbers shown are those of the last one that was answered.
function putBack() {
  S.changes = good;
  writeAddress();
  drawRail();
  drawChart();
  drawAbout();
}

async function begin(aside = []) {
  try {
    start = await ask("start");
  } catch (error) {
    if (!error.refused || S.step === null) throw error;
    aside.push(error.message);
    S.step = null;
    start = await ask("start");
  }
  S.step = start.step;
  votes = start.votes;
  document.title = `Reelmix: tune ${plain(start.out)}`;
  $("where").textContent = `${plain(start.out)} · recipe ${plain(start.recipe)}`;
  put($("step"), ...start.steps.map((step) => h("option", { value: step, selected: step === start.step }, step)));
  $("review").textContent = start.target ? `Review & save to ${plain(start.target)}` : "Review";
  const first = start.rules.flatMap(handlesOf)[0];
  const names = [...start.rules.flatMap((rule) => [rule.name, ...handlesOf(rule).map((p) => p.handle.name)]), ...start.measures.map((one) => one.name)];
  if (!names.includes(S.name)) {
    if (S.name !== null) aside.push(`${plain(S.name)}, which is not here`);
    S.name = first?.handle.name || start.rules[0]?.name || null;
  }
  for (const place of ["rail", "panel"]) put($(place));
  await takeOver(S.changes, aside);
  clearTimeout(later);
  drawTabs();
  refreshChart();
  drawPanel();
  seekAdvice();
  if (aside.length) complain(new Error(`Set aside: ${aside.join("; ")}`));
  await loadSparks();
}

// Changes of unknown origin, or for a recipe that is another now: all that is still valid, or each that is.
async function takeOver(changes, aside) {
  const every = Object.entries(changes).flatMap(([rule, keys]) => Object.entries(keys).map(([key, to]) => [rule, key, to]));
  const fitting = DATA ? every : every.filter(([rule, key, to]) => fits(start.rules.find((one) => one.name === rule), key, to));
  aside.push(...every.filter((one) => !fitting.includes(one)).map(([rule, key]) => plain(`${rule}.${key}`)));
  const added = (held, [rule, key, to]) => ({ ...held, [rule]: { ...held[rule], [key]: to } });
  if (!DATA) S.changes = fitting.reduce(added, {});
  try {
    return accept(await ask("what_if"));
  } catch (error) {
    if (!error.refused) throw error;
  }
  let valid = {};
  for (const one of fitting) {
    try {
      await ask("what_if", { changes: added(valid, one) });
      valid = added(valid, one);
    } catch (error) {
      if (!error.refused) throw error;
      aside.push(error.message);
    }
  }
  S.changes = valid;
  accept(await ask("what_if"));
}

// The server's answer that what this page shows is not so any more.
let renewing = null;
function renew() {
  const told = "the recipe changed meanwhile; the numbers are new", aside = [];
  renewing ??= begin(aside)
    .then(() => complain(new Error([told, aside.length ? `set aside: ${aside.join("; ")}` : ""].filter(Boolean).join(". "))))
    .catch((error) => complain(new Error(error.message)))
    .finally(() => { renewing = null; });
}

function reset() {
  S.changes = DATA ? DATA.changes : {};
  complain(null);
  changed();
}

// As `filter.RULE.KEY=VALUE`.
const settings = () => Object.entries(S.changes).flatMap(([rule, keys]) => Object.entries(keys).map(([key, to]) =>
  `filter.${rule}.${key}=${typeof to === "object" ? `{${Object.entries(to).map(([side, n]) => `${side}=${n}`)}}` : to}`));

function effectOfChanges() {
  const against = DATA ? "how it was exported" : "the recipe", at = whatIf.near === undefined ? "" : ` at ${value(whatIf.near)}, the nearest value that an exported page knows`;
  return `Keeps ${count(whatIf.kept.rows)} rows${at}: +${count(whatIf.gained)} −${count(whatIf.lost)} against ${against}.`;
}

async function review() {
  if (!settings().length) return dialog(h("h2", {}, "Nothing is changed"), h("p", {}, "Every threshold is the recipe's."), closing());
  const every = [...(start.set || []), ...settings()].join(" ");
  const command = h("pre", { id: "command" }, `${start.command} SET="${every}"`);
  if (!start.target) {
    return dialog(h("h2", {}, "As a command"), h("p", {}, effectOfChanges()), command,
      h("p", { class: "quiet" }, DATA ? "This is an exported page." : "This page may not write. Start it with --save FILE (make tune SAVE=mine.toml) to save into a recipe."), closing());
  }
  try {
    saving(await ask("review"), command);
  } catch (error) {
    complain(error);
  }
}

function saving(found, command) {
  const note = h("input", { id: "note", placeholder: "why? (kept in the recipe's history)", "aria-label": "Note" });
  const effect = h("p"), diff = h("pre", { id: "diff" }), wrong = h("p", { id: "wrong", class: "loss", role: "alert" });
  const show = (told) => {
    found = told;
    put(effect, effectOfChanges());
    put(diff, ...told.diff.split("\n").map((text) => h("span", { class: text.startsWith("+") ? "add" : text.startsWith("-") ? "cutline" : "" }, `${text}\n`)));
  };
  const write = async () => {
    wrong.textContent = note.value.trim() ? "" : "a note is needed: say why the thresholds change";
    if (wrong.textContent) return note.focus();
    try {
      await saved(await ask("save", { digest: found.digest, note: note.value }));
    } catch (error) {
      wrong.textContent = error.message;
      await renewing;
      // What is saved next is the difference that is seen.
      await ask("review").then(show, (again) => { wrong.textContent = again.message; });
    }
  };
  show(found);
  dialog(h("h2", {}, `What changes in ${plain(found.file)}`), effect, diff,
    h("form", { onsubmit: (event) => { event.preventDefault(); void write(); } }, note, wrong,
      h("div", { class: "end" }, h("button", { type: "button", onclick: () => $("dialog").close() }, "Cancel"), h("button", { class: "primary", id: "save" }, `Save to ${plain(found.file)}`))),
    h("p", { class: "quiet" }, "or as a command:"), command);
  note.focus();
}

async function saved(told) {
  dialog(h("h2", {}, "Saved"), h("p", { id: "saved" }, `${plain(told.file)} holds the new thresholds; its history says why.`), closing());
  S.changes = {};
  complain(null);
  await begin().catch(complain);
}

const closing = () => h("div", { class: "end" }, h("button", { type: "button", onclick: () => $("dialog").close() }, "Close"));
function dialog(...children) {
  put($("dialog"), ...children);
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
  const marks = histogram.quantiles.map((mark) => outward(mark, parameter.handle.side)), above = marks.findIndex((mark) => mark > now);
  if (!marks.length) return complain(new Error(`no row has a value that ${S.name} bounds: there is no next one; type a number`));
  const at = by > 0 ? (above < 0 ? marks.length - 1 : above + by - 1) : marks.findLastIndex((mark) => mark < now) + by + 1;
  change(rule, parameter.name, marks[Math.min(Math.max(at, 0), marks.length - 1)]);
}

// Of six digits, and where that is not exact a little further out, so that a row of this value stays.
function outward(exact, side) {
  const near = +exact.toPrecision(6), by = side === "max" ? 1 : -1;
  if (Number.isInteger(exact) || (near - exact) * by >= 0) return Number.isInteger(exact) ? exact : near;
  return +(near + by * 10 ** (Math.floor(Math.log10(Math.abs(exact))) - 5)).toPrecision(6);
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
$("understood").addEventListener("click", () => complain(null));
$("step").addEventListener("change", (event) => { Object.assign(S, { step: event.target.value, name: null, changes: {} }); sparks.clear(); complain(null); begin().catch(complain); });
addEventListener("keydown", pressed);
addEventListener("resize", () => { drawChart(); if (["duplicates", "votes"].includes(S.tab)) drawPanel(); });
addEventListener("hashchange", () => { if (!DATA) begin(readAddress()).catch(complain); });
if (DATA) { Object.assign(S, DATA.state); $("export").hidden = true; $("step").disabled = true; }
listenToDrags();
begin(DATA ? [] : readAddress()).catch(complain);
