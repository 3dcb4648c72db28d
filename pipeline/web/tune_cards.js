// Clips as people judge them: pictures on hover, the film on click, votes by button or key.

const VOTES = [["good", "g"], ["bad", "b"], ["unsure", "u"]];

function card(row, kind) {
  const scores = Object.entries(row.scores || {}).filter(([, held]) => typeof held === "number");
  const words = h("div", { class: "words" },
    row.value === undefined ? null : h("div", { class: "value" }, value(row.value)),
    h("div", { class: "caption" }, row.text || "no text"),
    h("div", { class: "uri", title: row.source_uri || row.id }, `${row.corpus}: ${row.source_uri || row.id}`),
    h("details", {}, h("summary", { class: "quiet" }, "measures"),
      h("div", { class: "chips" }, scores.map(([name, held]) => h("span", {}, `${name} ${value(held)}`))),
      h("code", {}, row.id)),
    h("div", { class: "votes", role: "group", "aria-label": "Vote" }, VOTES.map(([word, key]) =>
      h("button", { type: "button", title: key, "aria-pressed": String(votes[row.id] === word), onclick: () => vote(row.id, word) }, word))));
  const made = h("article", { class: `card ${kind}`, tabindex: -1, "data-id": row.id }, picture(row), words);
  made.play = () => play(made, row);
  return made;
}

function picture(row) {
  const button = h("button", { type: "button", class: "picture", title: "Play (space)", "aria-label": `Play ${row.source_uri || row.id}` });
  if (!row.frames) {
    button.append(h("span", { class: "none" }, "no stored frame"));
    return button;
  }
  const image = h("img", { src: frameOf(row.id, 0), alt: row.text || row.source_uri || row.id, loading: "lazy" });
  button.addEventListener("pointermove", (event) => {
    const box = button.getBoundingClientRect();
    const n = Math.floor(((event.clientX - box.left) / box.width) * row.frames);
    image.src = frameOf(row.id, Math.min(Math.max(n, 0), row.frames - 1));
  });
  button.addEventListener("pointerleave", () => { image.src = frameOf(row.id, 0); });
  button.addEventListener("click", () => play(button.closest(".card"), row));
  button.append(image);
  if (row.duration_s) button.append(h("span", { class: "time" }, `${row.start_s === null ? "" : `${row.start_s.toFixed(1)} s + `}${row.duration_s.toFixed(1)} s`));
  return button;
}

// The part of its file that is the clip; where the browser cannot play the file, its stored frames in turn.
function play(place, row) {
  const shown = place.querySelector(".picture, video");
  if (!shown || shown.tagName === "VIDEO" || row.kind !== "video") return;
  if (DATA || !row.plays) {
    turn(shown, row);
    return;
  }
  const from = row.start_s ?? 0, to = row.end_s ?? 1e9;
  const film = h("video", { src: `media/${row.id}?t=${encodeURIComponent(token)}#t=${from},${to}`, controls: true, muted: true, autoplay: true });
  film.addEventListener("timeupdate", () => { if (film.currentTime >= to) film.currentTime = from; });
  film.addEventListener("error", () => { film.replaceWith(shown); turn(shown, row); });
  const box = h("div", { class: "picture" }, film);
  shown.replaceWith(box);
}

function turn(shown, row) {
  const image = shown.querySelector("img");
  if (!image || shown.dataset.turning) return;
  shown.dataset.turning = "yes";
  shown.querySelector(".time")?.replaceChildren("stored frames");
  let n = 0;
  const timer = setInterval(() => {
    if (!image.isConnected) clearInterval(timer);
    n = (n + 1) % row.frames;
    image.src = frameOf(row.id, n);
  }, 250);
}

async function vote(id, word) {
  const to = votes[id] === word ? null : word;
  try {
    votes = (await ask("vote", { id, vote: to })).votes;
  } catch (error) {
    complain(error);
    return;
  }
  for (const place of document.querySelectorAll(`[data-id="${CSS.escape(id)}"] .votes button`))
    place.setAttribute("aria-pressed", String(votes[id] === place.textContent));
  seekAdvice();
}

// What the votes say of the chosen threshold; at least two of them are needed for a curve.
function seekAdvice() {
  if (!S.name || !parameterOf(S.name) || Object.keys(votes).length < 2 || DATA) return;
  const name = S.name;
  latest("precision", () => ask("precision", { name }), (found) => {
    advice = { ...found, name };
    drawChart();
    if (S.tab === "votes") drawPanel();
  });
}

function sides(left, right) {
  const side = (title, note, rows, kind) => h("div", {},
    h("h3", {}, title, " ", h("span", { class: "quiet" }, note)),
    rows.length ? h("div", { class: "cards" }, rows.map((row) => card(row, kind))) : h("p", { class: "quiet" }, "no such clip"));
  return h("div", { class: "sides" }, side(...left), side(...right));
}

const cardsShown = () => [...document.querySelectorAll("#panel .card")];
function step(by) {
  const every = cardsShown(), at = every.indexOf(document.activeElement?.closest?.(".card"));
  const next = every[Math.min(Math.max(at + by, 0), every.length - 1)];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}
