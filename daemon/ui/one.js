// One release, while it is watched and ever after: the sentence first, then what was done, then why.

import { armName, clock, el, setText, stopped } from "./common.js";
import { BASE, ask, follow, showFreezes } from "./live.js";
import { STATES } from "./states.js";
import { drawCharts, drawLegs, drawPods } from "./watch.js";
import { command, elsewhere, endings, facts, marksOf, sentence, stateToShow, traffic } from "./words.js";

const COURSE_EVERY_MS = 1000;
const MARKED = new Set(["decided", "patch_sent", "confirmed", "traffic_left", "canary_silent"]);
const part = (id) => document.getElementById(id);
const asked = decodeURIComponent(location.pathname.split("/").at(-1));
const leads = { links: {}, recordings: false };
const state = { view: null, tick: null, record: null, course: null };
const group = { at: null, points: [] };
const more = { due: null, asking: false, again: false };
let width = 0;

function paint() {
  const { view, course } = state;
  if (view === null) return;
  const { release, verdict } = view;
  const name = `${release.namespace}/${release.service}: ${armName(release.canary)} ← ${armName(release.baseline)}`;
  const named = stateToShow(state);
  setText(part("title"), name);
  document.title = `${STATES[named].words}: ${name}`;
  document.body.dataset.state = named;
  setText(part("lead"), sentence(state));
  setText(part("traffic"), traffic(state));
  part("facts").replaceChildren(...facts(state).map(([term, text]) => el("div", {}, el("dt", {}, term), el("dd", {}, text))));
  part("ending").hidden = view.stage !== "watching";
  if (view.stage === "watching") part("ends").replaceChildren(...endings(state).map((text) => el("li", {}, text)));
  const legs = { findings: verdict?.findings ?? course?.findings ?? [], convicting: verdict?.leg, going: course?.now ?? [], width };
  part("legs-part").hidden = !drawLegs(part("legs"), part("legs-key"), legs);
  part("charts").hidden = !drawCharts(part("charts"), { course, boundary: view.boundary, steps: stepsDrawn(), width, group });
  part("pods-part").hidden = !drawPods(part("pods"), course);
  steps();
  byHand();
}

/** Those that say what became of the traffic, in seconds of the watch. */
function stepsDrawn() {
  const begun = marksOf(state).findLast(({ step }) => step === "watching")?.at;
  if (begun === undefined) return [];
  return marksOf(state)
    .filter(({ step }) => MARKED.has(step))
    .map(({ step, at }) => ({ t: at - begun, label: step.replaceAll("_", " ") }));
}

function steps() {
  const all = marksOf(state);
  part("steps-part").hidden = all.length === 0;
  const rows = all.map((one, number) => {
    const after = one.at - all[0].at;
    const took = number === 0 ? 0 : one.at - all[number - 1].at;
    const cells = [clock(one.at), `${after.toFixed(2)} s`, `+${took.toFixed(2)}`, one.step.replaceAll("_", " "), one.detail];
    return el("tr", {}, ...cells.map((text) => el("td", {}, text)));
  });
  part("steps").replaceChildren(...rows);
}

function byHand() {
  part("by-hand").hidden = false;
  setText(part("command"), command(state));
  const own = `v1/releases/${encodeURIComponent(state.view.id)}`;
  const answers = [["release as JSON", own], ["watch as JSON", `${own}/course`]];
  if (leads.recordings) answers.push(["recording", `${own}/recording`]);
  if (state.record !== null) answers.push(["record as JSON", `${own}/record`]);
  const wanted = [...elsewhere(state, leads.links), ...answers.map(([text, path]) => [text, new URL(path, BASE).href])];
  if (part("links").childElementCount === wanted.length) return;
  part("links").replaceChildren(...wanted.map(([text, href]) => el("a", { href }, text)));
}

/** The course, at most once a second while it is watched, and the record once there is one. What is due at once waits for nothing. */
function moreIsDue(wait = COURSE_EVERY_MS) {
  if (more.asking) {
    more.again ||= wait === 0;
    return;
  }
  if (more.due !== null && wait > 0) return;
  clearTimeout(more.due);
  more.due = setTimeout(askMore, wait);
}

async function askMore() {
  Object.assign(more, { due: null, asking: true });
  const own = `v1/releases/${encodeURIComponent(state.view.id)}`;
  try {
    state.course = await ask(`${own}/course`);
    if (["guarding", "ended"].includes(state.view.stage)) state.record = await ask(`${own}/record`);
  } catch {
    // It is asked for again with the next change; that the daemon is away, the stream says.
  }
  more.asking = false;
  paint();
  if (more.again) moreIsDue(0);
  more.again = false;
}

function heard({ release, now: tick }) {
  const first = state.view === null;
  Object.assign(state, { view: release, tick: tick ?? state.tick });
  paint();
  moreIsDue(first || release.stage !== "watching" ? 0 : COURSE_EVERY_MS);
}

part("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(part("command").textContent);
    setText(part("copy"), "Copied");
  } catch {
    getSelection().selectAllChildren(part("command"));
    setText(part("copy"), "Selected");
  }
  setTimeout(() => setText(part("copy"), "Copy"), 2000);
});

new ResizeObserver(([{ contentRect }]) => {
  if (Math.abs(contentRect.width - width) < 1) return;
  width = Math.max(240, Math.floor(contentRect.width));
  paint();
}).observe(document.querySelector("main"));

async function begin() {
  showFreezes();
  // Without them the page says all the same what it knows.
  ask("ui/links").then((told) => Object.assign(leads, told), () => {}).then(paint);
  try {
    heard({ release: await ask(`v1/releases/${encodeURIComponent(asked)}`), now: null });
  } catch (error) {
    if (error.status !== undefined && error.status < 500) {
      setText(part("lead"), stopped(error.message));
      return;
    }
  }
  if (state.view?.stage !== "ended") follow(`v1/releases/${encodeURIComponent(asked)}/events`, { release: heard });
}

begin();
