// One release, while it is watched and ever after: the sentence first, then what was done, then why.

import { BASE, amount, armName, ask, clock, dated, el, follow, percent, setText, showFreezes, span } from "./common.js";
import { interval, lines } from "./charts.js";
import { STATES, stateOf } from "./states.js";

const COURSE_EVERY_MS = 1000;
const STANDINGS = { inside: "within", outside: "beyond", open: "not shown", idle: "no data", convicts: "convicts" };
const MARKED = new Set(["decided", "patch_sent", "confirmed", "traffic_left", "canary_silent"]);
const part = (id) => document.getElementById(id);
const asked = decodeURIComponent(location.pathname.split("/").at(-1));
const state = { view: null, tick: null, record: null, course: null };
let courseDue = null;
let width = 0;

function paint() {
  const { view } = state;
  if (view === null) return;
  const { release } = view;
  const name = `${release.namespace}/${release.service}: ${armName(release.canary)} ← ${armName(release.baseline)}`;
  const named = stateToShow(view);
  const which = STATES[named];
  setText(part("title"), name);
  document.title = `${which.words}: ${name}`;
  document.body.dataset.state = named;
  setText(part("lead"), sentence(view, which));
  setText(part("traffic"), traffic());
  facts();
  ending();
  legs();
  charts();
  steps();
  byHand();
}

/** The verdict, once there is one, whatever is still being done about it; that nothing could be done is more than the verdict. */
function stateToShow(view) {
  const found = stateOf(view, state.tick);
  return view.verdict === null || STATES[found].order === 0 ? found : view.verdict.outcome;
}

/** One sentence's end, whether it has it already or not. */
const stopped = (text) => `${text.replace(/\.+$/, "")}.`;

function sentence(view, { sign, words }) {
  const why = view.verdict?.reason ?? [...view.hindrances, view.waiting_for].filter((one) => one !== "").join("; ");
  return stopped(`${sign} ${words[0].toUpperCase()}${words.slice(1)}${why === "" ? "" : `: ${why}`}`);
}

const marks = () => state.record?.marks ?? state.view.steps;
const at = (...names) => marks().findLast(({ step }) => names.includes(step))?.at ?? null;

/** What was done about the traffic, and whether it has left. */
function traffic() {
  const { view } = state;
  const action = view.verdict?.action ?? null;
  const rate = state.course?.canary?.per_second.at(-1) ?? null;
  if (action === null) return view.stage === "reverting" ? "The traffic is being taken back now." : untouched(view, rate);
  switch (action) {
    case "revert":
      return `The traffic was taken back to the baseline${left(rate)}`;
    case "abort":
      return `The owner of the release was told to take it back${left(rate)}`;
    case "blocked":
      return "The traffic was NOT taken back: that would have done more harm, or may not be done. See the reason above, and By hand below.";
    case "failed":
      return "The traffic could NOT be taken back. See the reason above, and By hand below.";
    case "promote":
      return "The release was let go on to all traffic.";
    default:
      return "The traffic was left as it was.";
  }
}

function untouched(view, rate) {
  const weight = state.tick?.weight ?? view.release.weight;
  const said = weight === null || weight === undefined ? "The weight of the canary is not known" : `The canary has a weight of ${amount(weight)} %`;
  const gets = rate === null ? "" : `, and got ${amount(rate)} requests a second (${percent(state.tick?.share)}) in the last tick`;
  return `${said}${gets}. Nothing is done about it while it is watched.`;
}

function left(rate) {
  const decided = at("decided");
  const silent = at("canary_silent");
  const confirmed = at("confirmed", "traffic_left");
  if (silent !== null) return `, and has left: the canary got nothing more ${(silent - decided).toFixed(1)} s after the decision.`;
  if (confirmed === null) return "; it is not confirmed yet.";
  const seen = rate === null ? "" : ` In the last tick the canary got ${amount(rate)} requests a second.`;
  return `: confirmed ${(confirmed - decided).toFixed(1)} s after the decision.${seen}`;
}

function facts() {
  const { view } = state;
  const share = view.canary_requests / (view.canary_requests + view.baseline_requests || 1);
  const said = {
    Evidence: view.boundary === null ? null : `${amount(view.evidence)}, a rollback needs ${amount(view.boundary)}`,
    Requests: `${amount(view.canary_requests)} of the canary, ${amount(view.baseline_requests)} of the baseline (${percent(share)})`,
    Watched: `${span(view.seconds)}, ${amount(view.ticks)} ticks${view.gaps > 0 ? `, ${amount(view.gaps)} of them without data` : ""}`,
    Begun: dated(view.submitted_at),
    Decided: view.verdict ? `${dated(view.verdict.decided_at)}, by ${view.verdict.by}` : null,
    "For the pipeline": view.verdict?.meaning ?? null,
    Beside: view.signals.map(({ words }) => words).join("; ") || view.verdict?.signals.map(({ words }) => words).join("; ") || null,
    Read: view.fallback || null,
    Artifact: view.release.artifact,
    Release: view.id,
  };
  const wanted = Object.entries(said).filter(([, text]) => text !== null && text !== undefined);
  part("facts").replaceChildren(...wanted.map(([term, text]) => el("div", {}, el("dt", {}, term), el("dd", {}, text))));
}

function ending() {
  const { view } = state;
  part("ending").hidden = view.stage !== "watching";
  if (view.stage !== "watching") return;
  const left = view.window_seconds === null ? [] : [`its window, in ${span(view.window_seconds - view.seconds)}: then it is inconclusive, unless it is promoted`];
  const evidence = `evidence of ${amount(view.boundary)} that the canary is worse at all, and enough that it is worse than tolerated: a rollback`;
  const said = [view.waiting_for, ...view.hindrances, evidence, ...left, "a newer release of the service, or a person's word", ...view.unresolved];
  part("ends").replaceChildren(...said.filter((one) => one !== "").map((text) => el("li", {}, text)));
}

const labelOf = (unit) => (value) => {
  if (unit === "points") return `${amount(100 * value)} pt`;
  return unit === "ratio" ? `×${amount(value)}` : amount(value);
};
const NONE = { points: 0, ratio: 1, probability: 0.5 };

function legs() {
  const findings = state.view.verdict?.findings ?? [];
  const current = state.course?.now ?? [];
  part("legs-part").hidden = findings.length + current.length === 0;
  const size = Math.min(width, 420);
  const done = findings.filter(({ standing }) => standing !== "idle");
  setText(
    part("legs-key"),
    findings.length > 0
      ? "Dot: the estimate. Bar: where it surely lies, at every look at once. Dashed: what is tolerated."
      : "The interval of each is told with the verdict.",
  );
  const rows = findings.length > 0 ? done.map((one) => judged(one, size)) : current.map(going);
  const idle = findings.filter(({ standing }) => standing === "idle").map(({ sentence }) => sentence);
  if (idle.length > 0) rows.push(el("p", { class: "soft" }, idle.join("; ")));
  part("legs").replaceChildren(...rows);
}

function judged(finding, size) {
  const standing = finding.leg === state.view.verdict.leg ? "convicts" : finding.standing;
  const drawn = finding.effect === null && finding.low === null && finding.high === null;
  const label = labelOf(finding.unit);
  const about = `${finding.leg}: ${finding.sentence}`;
  const bar = drawn ? "" : interval({ ...finding, about, width: size, none: NONE[finding.unit], label });
  const head = el("p", {}, el("b", {}, finding.leg.replaceAll("_", " ")), " ", el("span", { class: `standing ${standing}` }, STANDINGS[standing]));
  return el("div", { class: "leg" }, head, bar, el("p", {}, `${stopped(finding.sentence)} Evidence ${amount(finding.e_value)}.`));
}

function going({ leg, words, unit, effect, log_evidence: evidence, log_beyond: beyond }) {
  const head = el("p", {}, el("b", {}, leg.replaceAll("_", " ")), ` ${words}`);
  const seen = effect === null ? "nothing to say yet" : `${labelOf(unit)(effect)}${unit === "points" ? " more" : " of the baseline's"}`;
  return el("div", { class: "leg" }, head, el("p", {}, `${seen}; evidence ${amount(10 ** evidence)}, ${amount(10 ** beyond)} to 1 that it is more than tolerated`));
}

function charts() {
  const { course, view } = state;
  const there = course !== null && course.t.length > 0;
  part("charts").hidden = !there;
  if (!there) return;
  const begun = at("watching");
  const marked = begun === null ? [] : marks().filter(({ step }) => MARKED.has(step)).map((one) => ({ t: one.at - begun, label: one.step }));
  const frame = { t: course.t, gaps: course.gaps, seconds: course.seconds, steps: marked, width };
  part("charts").replaceChildren(...evidence(frame, course, view), ...ofArms(frame, course));
}

function evidence(frame, course, view) {
  const enough = Math.log10(course.boundary ?? view.boundary ?? 100);
  const used = Object.entries(course.legs).filter(([, values]) => values.some((value) => value > 0.3));
  const drawn = [
    ...used.map(([name, values], number) => ({ name: name.replaceAll("_", " "), kind: `leg${number}`, values })),
    { name: "all together", kind: "total", values: course.log_evidence },
  ];
  const top = Math.max(enough * 1.25, ...drawn.flatMap(({ values }) => values));
  const scale = [0, enough, top > enough * 1.4 ? top : null].filter((value) => value !== null);
  const marks = scale.map((value) => ({ value, label: amount(10 ** value), limit: value === enough }));
  return chart("Evidence that the canary is worse at all", "logarithmic; dashed: enough for a rollback", { ...frame, lines: drawn, bottom: -1, top, marks });
}

function ofArms(frame, { baseline, canary }) {
  const shares = canary.per_second.map((rate, row) => (rate + baseline.per_second[row] > 0 ? (100 * rate) / (rate + baseline.per_second[row]) : null));
  const scaled = (values, factor) => values.map((value) => (value === null ? null : value * factor));
  const both = (field, factor) => [
    { name: "baseline", kind: "baseline", values: scaled(baseline[field], factor) },
    { name: "canary", kind: "canary", values: scaled(canary[field], factor) },
  ];
  return [
    ...plain("Failed requests", "% of each arm's", frame, both("failed_share", 100)),
    ...plain("Mean latency", "ms", frame, both("mean_ms", 1)),
    ...plain("Requests a second", "each arm's", frame, both("per_second", 1)),
    ...plain("The canary's part of the requests", "%; thin: its weight", frame, [
      { name: "weight", kind: "weight", values: state.course.weight },
      { name: "share", kind: "canary", values: shares },
    ]),
  ];
}

function plain(title, unit, frame, drawn) {
  const seen = drawn.flatMap(({ values }) => values).filter((value) => value !== null);
  if (seen.length === 0) return [];
  const top = Math.max(...seen) * 1.05 || 1;
  const marks = [0, top / 2, top].map((value) => ({ value, label: amount(value) }));
  return chart(title, unit, { ...frame, lines: drawn, bottom: 0, top, marks });
}

function chart(title, unit, drawn) {
  const key = drawn.lines.map(({ name, kind }) => el("span", { class: `name ${kind}` }, name));
  const gaps = drawn.gaps.some((gap) => gap) ? [el("span", { class: "name gap" }, "no data")] : [];
  return [el("h2", {}, title, el("small", { class: "soft" }, ` ${unit}`)), el("p", { class: "key" }, ...key, ...gaps), lines({ ...drawn, about: title })];
}

function steps() {
  const all = marks();
  part("steps-part").hidden = all.length === 0;
  const rows = all.map((one, number) => {
    const after = one.at - all[0].at;
    const took = number === 0 ? 0 : one.at - all[number - 1].at;
    const cells = [clock(one.at), `${after.toFixed(2)} s`, `+${took.toFixed(2)}`, one.step.replaceAll("_", " "), one.detail];
    return el("tr", {}, ...cells.map((text) => el("td", {}, text)));
  });
  part("steps").replaceChildren(...rows);
}

const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

function byHand() {
  const { release } = state.view;
  const words = ["verdictd", "revert", `--service=${release.service}`, `--namespace=${release.namespace}`];
  if (release.mesh) words.push(`--mesh=${release.mesh}`);
  for (const arm of ["baseline", "canary"]) {
    for (const field of ["workload", "version", "subset", "service"]) if (release[arm][field]) words.push(`--${arm}=${field}=${release[arm][field]}`);
    for (const [key, value] of Object.entries(release[arm].labels ?? {})) words.push(`--${arm}=labels.${key}=${value}`);
  }
  if (release.route) words.push(`--route=${release.route}`);
  part("by-hand").hidden = false;
  setText(part("command"), words.map(quoted).join(" "));
  const own = `v1/releases/${encodeURIComponent(state.view.id)}`;
  const wanted = [["release as JSON", own], ...(state.record === null ? [] : [["record as JSON", `${own}/record`]])];
  if (part("links").childElementCount === wanted.length) return;
  part("links").replaceChildren(...wanted.map(([text, path]) => el("a", { href: new URL(path, BASE).href }, text)));
}

/** The course at most once a second, and the record once there is one. */
function moreIsDue(wait = COURSE_EVERY_MS) {
  courseDue ??= setTimeout(async () => {
    courseDue = null;
    const own = `v1/releases/${encodeURIComponent(state.view.id)}`;
    try {
      state.course = await ask(`${own}/course`);
      if (["guarding", "ended"].includes(state.view.stage)) state.record = await ask(`${own}/record`);
    } catch {
      // It is asked for again with the next change; that the daemon is away, the stream says.
    }
    paint();
  }, wait);
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
