// How a watch went, drawn: the same on the live page and in a page that was written to a file.

import { amount, el, setText, stopped } from "./common.js";
import { distribution, evenly, interval, lines } from "./charts.js";

const STANDINGS = { inside: "within", outside: "beyond", open: "not shown", idle: "no data", convicts: "convicts" };
const SPOKE = 0.3;
/** From this decimal logarithm on, evidence of one quantity is drawn by itself. */
const TOLD = 2;
/** From this evidence on it is told how surely a quantity is worse than tolerated. */
const NONE = { points: 0, ratio: 1, probability: 0.5 };
const FEW_HIGHER = 3;

const labelOf = (unit) => (value) => {
  if (unit === "points") return `${amount(100 * value)} pt`;
  return unit === "ratio" ? `×${amount(value)}` : amount(value);
};
const spoken = (leg) => leg.replaceAll("_", " ");

/** Each quantity: its interval, once there is a verdict; before, where it stands. Whether there is anything to tell. */
export function drawLegs(place, key, { findings, convicting, going, width }) {
  const size = Math.min(width, 420);
  setText(
    key,
    findings.length > 0
      ? "Dot: the estimate. Bar: where it surely lies, at every look at once. Dashed: what is tolerated."
      : "",
  );
  const idle = findings.filter(({ standing }) => standing === "idle").map(({ sentence }) => sentence);
  const done = findings.filter(({ standing }) => standing !== "idle");
  const rows = findings.length > 0 ? done.map((one) => judged(one, convicting, size)) : going.map(underway);
  if (idle.length > 0) rows.push(el("p", { class: "soft" }, idle.join("; ")));
  place.replaceChildren(...rows);
  return rows.length > 0;
}

function judged(finding, convicting, size) {
  const standing = finding.leg === convicting ? "convicts" : finding.standing;
  const drawn = finding.effect !== null || finding.low !== null || finding.high !== null;
  const about = `${spoken(finding.leg)}: ${finding.sentence}`;
  const bar = drawn ? interval({ ...finding, about, width: size, none: NONE[finding.unit], label: labelOf(finding.unit) }) : "";
  const head = el("p", {}, el("b", {}, spoken(finding.leg)), " ", el("span", { class: `standing ${standing}` }, STANDINGS[standing]));
  const beyond = finding.beyond !== null && finding.e_value > TOLD ? `; ${amount(finding.beyond)} to 1 that it is more than tolerated` : "";
  return el("div", { class: "leg" }, head, bar, el("p", {}, `${stopped(finding.sentence)} Evidence ${amount(finding.e_value)}${beyond}.`));
}

function underway({ leg, words, unit, effect, log_evidence: evidence, log_beyond: beyond }) {
  const head = el("p", {}, el("b", {}, words || spoken(leg)));
  const seen = effect === null ? "nothing to say yet" : `${labelOf(unit)(effect)}${unit === "points" ? " more" : " of the baseline's"}`;
  const sure = `evidence ${amount(10 ** evidence)}, ${amount(10 ** beyond)} to 1 that it is more than tolerated`;
  return el("div", { class: "leg" }, head, el("p", {}, `${seen}; ${sure}`));
}

/**
 * Everything over time. `steps`: [{t, label}], in seconds of the watch; `group`: {at, points}, kept by whoever draws again.
 * Whether there is anything to draw.
 */
export function drawCharts(place, { course, boundary, steps, width, group }) {
  if (course === null || course.t.length === 0) return false;
  group.points = [];
  const last = Math.max(course.t.at(-1), ...steps.map(({ t }) => t), 1e-3);
  const frame = { width, last, gaps: gapsOf(course), steps, group };
  const pointing = document.activeElement?.matches("svg") && place.contains(document.activeElement);
  place.replaceChildren(
    ...stepsBetween(steps),
    ...evidence(frame, course, boundary),
    ...failures(frame, course),
    ...latency(frame, course, "median_ms", "Median latency"),
    ...latency(frame, course, "p99_ms", "99th percentile of the latency"),
    ...distributions(course, width),
    ...traffic(frame, course),
  );
  if (pointing) place.querySelector("svg[tabindex]")?.focus();
  return true;
}

/** Rows without information, those that touch as one. */
function gapsOf({ t, seconds, gaps }) {
  const found = [];
  gaps.forEach((gap, row) => {
    if (!gap) return;
    const from = Math.max(0, t[row] - seconds[row]);
    if (found.length > 0 && gaps[row - 1]) found.at(-1).to = t[row];
    else found.push({ from, to: t[row] });
  });
  return found;
}

function stepsBetween(steps) {
  if (steps.length === 0) return [];
  const said = steps.map(({ t, label }, number) =>
    number === 0 ? `${label} at ${amount(t)} s` : `${label} +${(t - steps[number - 1].t).toFixed(2)} s`,
  );
  return [el("p", { class: "key" }, el("span", { class: "name step" }, said.join(" → ")))];
}

function evidence(frame, course, boundary) {
  if (course.log_evidence.every((value) => value === 0) && boundary === null) return [];
  const used = Object.keys(course.legs).filter((leg) => course.legs[leg].some((value) => value > SPOKE));
  const ofLegs = (kinds) => used.map((leg, number) => ({ name: spoken(leg), kind: `leg${number}`, values: kinds[leg] }));
  const total = { name: "all together", kind: "total", values: course.log_evidence };
  const sure = body("Evidence that the canary is worse at all", [...ofLegs(course.legs), total], course.boundary ?? boundary ?? 100);
  const needed = course.beyond_boundary;
  return [...sure, ...(used.length > 0 && needed !== null ? body("Evidence that it is worse than tolerated", ofLegs(course.beyond), needed) : [])];

  /** One of the two that a rollback needs, of one quantity. */
  function body(about, drawn, least) {
    const enough = Math.log10(least);
    const top = Math.max(enough * 1.25, ...drawn.flatMap(({ values }) => values));
    const scale = [0, enough, top > enough * 1.4 ? top : null].filter((value) => value !== null);
    const marks = scale.map((value) => ({ value, label: amount(10 ** value), limit: value === enough }));
    const format = (value) => amount(10 ** value);
    return chart(about, "logarithmic; dashed: enough for a rollback", { t: course.t, lines: drawn, bottom: -1, top, marks, format, frame });
  }
}

const times = (values, factor) => values.map((value) => (value === null ? null : value * factor));
const ofArm = (kind, { value, low, high }, factor = 1) => ({
  name: kind,
  kind,
  values: times(value, factor),
  low: times(low, factor),
  high: times(high, factor),
});

/** What an arm may have beside the other. Nothing is drawn where nobody has said. */
const tolerated = (values, factor = 1) => (values.length === 0 ? [] : [{ name: "tolerated of the canary", kind: "tolerated", values: times(values, factor) }]);

function failures(frame, { baseline, canary, allowed, stretches }) {
  const drawn = [...tolerated(allowed.failed_share, 100), ofArm("baseline", baseline.failed_share, 100), ofArm("canary", canary.failed_share, 100)];
  return plain("Failed requests", "% of each arm's; shaded: 95 % sure of the stretch", { t: stretches, drawn, frame, unit: " %" });
}

function latency(frame, { baseline, canary, allowed, stretches }, field, title) {
  if ([...baseline[field].value, ...canary[field].value].every((value) => value === null)) return [];
  const drawn = [...tolerated(allowed[field]), ofArm("baseline", baseline[field]), ofArm("canary", canary[field])];
  return plain(title, "ms; shaded: 95 % sure, as fine as the buckets", { t: stretches, drawn, frame, unit: " ms" });
}

function distributions({ baseline, canary, bounds_ms: bounds }, width) {
  const arms = [{ kind: "baseline", counts: baseline.buckets }, { kind: "canary", counts: canary.buckets }];
  if (arms.every(({ counts }) => counts.every((count) => count === 0))) return [];
  const padded = arms.map((arm) => ({ ...arm, counts: arm.counts.length > 0 ? arm.counts : bounds.concat(0).map(() => 0) }));
  const about = "Requests by latency, over the whole watch";
  const key = padded.map(({ kind }) => el("span", { class: `name ${kind}` }, kind));
  return [el("h2", {}, about, el("small", { class: "soft" }, " % of each arm's; ms, not to scale")), el("p", { class: "key" }, ...key), distribution({ about, width, bounds, arms: padded })];
}

function traffic(frame, { t, baseline, canary, weight }) {
  const shares = canary.per_second.map((rate, row) => {
    const other = baseline.per_second[row];
    return rate === null || other === null || rate + other === 0 ? null : (100 * rate) / (rate + other);
  });
  const rates = [{ name: "baseline", kind: "baseline", values: baseline.per_second }, { name: "canary", kind: "canary", values: canary.per_second }];
  const part = [{ name: "weight", kind: "weight", values: weight }, { name: "share", kind: "canary", values: shares }];
  return [
    ...plain("Requests a second", "each arm's", { t, drawn: rates, frame, unit: "" }),
    ...plain("The canary's part of the requests", "%; thin: its weight", { t, drawn: part, frame, unit: " %" }),
  ];
}

/** From 0 to what the lines reach; a band may go beyond, up to some times as high. */
function plain(title, unit, { t, drawn, frame, unit: after }) {
  const known = drawn.filter(({ values }) => values.some((value) => value !== null));
  if (known.length === 0) return [];
  const seen = known.flatMap(({ values }) => values).filter((value) => value !== null);
  const most = Math.max(...seen);
  const reach = Math.max(most, ...known.flatMap(({ high }) => high ?? []).filter((value) => value !== null && value < FEW_HIGHER * most));
  const top = reach * 1.05 || 1;
  const marks = evenly(top, FEW_HIGHER).map((value) => ({ value, label: amount(value) }));
  const shown = known.map((line) => ({ ...line, high: line.high?.map((value) => value ?? top) }));
  return chart(title, unit, { t, lines: shown, bottom: 0, top, marks, format: (value) => `${amount(value)}${after}`, frame });
}

function chart(title, unit, drawn) {
  const named = drawn.lines.map((line) => ({ ...line, said: el("span", { class: "said" }) }));
  const key = named.map(({ name, kind, said }) => el("span", { class: `name ${kind}` }, name, said));
  const gaps = drawn.frame.gaps.length > 0 ? [el("span", { class: "name gap" }, "no data")] : [];
  const picture = lines({ ...drawn, lines: named, about: title });
  return [el("h2", {}, title, el("small", { class: "soft" }, ` ${unit}`)), el("p", { class: "key" }, ...key, ...gaps), picture];
}

/** Pods: how they are, as far as somebody has looked, and what each served. Whether there is anything to tell. */
export function drawPods(place, course) {
  const { pods, pods_state: states, pods_left_out: more } = course ?? { pods: [], pods_state: null };
  const said = states === null ? [] : ["canary", "baseline"].map((arm) => el("p", {}, el("b", {}, arm), ` ${standing(states[arm])}`));
  const rows = pods.map(({ arm, pod, requests, errors, mean_ms: mean }) => {
    const failed = requests > 0 ? `${amount((100 * errors) / requests)} %` : "–";
    const cells = [arm, pod, amount(requests), failed, mean === null ? "–" : `${amount(mean)} ms`];
    return el("tr", {}, ...cells.map((text) => el("td", {}, text)));
  });
  const heads = ["Arm", "Pod", "Requests", "Failed", "Mean"].map((text) => el("th", { scope: "col" }, text));
  if (rows.length > 0) said.push(el("table", { class: "pods" }, el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...rows)));
  if (more > 0) said.push(el("p", { class: "soft" }, `and at least ${amount(more)} more`));
  place.replaceChildren(...said);
  return said.length > 0;
}

function standing({ pods, ready, restarts, troubles }) {
  const said = [`${amount(ready)} of ${amount(pods)} ready`];
  if (restarts > 0) said.push(`${amount(restarts)} restarts of containers`);
  return [...said, ...troubles].join("; ");
}
