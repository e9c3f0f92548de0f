// One release in words: the sentence first, then what was done about its traffic, then what else is known of it.
// A `state` is {view, tick, record, course}: the API's answers, the last three null where there are none.

import { amount, dated, percent, span, stopped } from "./common.js";
import { STATES, stateOf } from "./states.js";

/** The verdict, once there is one, whatever is still being done about it; that nothing could be done is more than the verdict. */
export function stateToShow({ view, tick }) {
  const found = stateOf(view, tick);
  return view.verdict === null || STATES[found].order === 0 ? found : view.verdict.outcome;
}

export function sentence(state) {
  const { view, tick } = state;
  const { sign, words } = STATES[stateToShow(state)];
  const worst = view.stage === "reverting" && tick?.words ? [`${tick.words} speak against the canary`] : [];
  const why = view.verdict?.reason ?? [...view.hindrances, view.waiting_for, ...worst].filter((one) => one !== "").join("; ");
  return stopped(`${sign} ${words[0].toUpperCase()}${words.slice(1)}${why === "" ? "" : `: ${why}`}`);
}

export const marksOf = ({ record, view }) => record?.marks ?? view.steps;
const at = (state, ...names) => marksOf(state).findLast(({ step }) => names.includes(step))?.at ?? null;

/** What was done about the traffic, and whether it has left. */
export function traffic(state) {
  const { view } = state;
  const action = view.verdict?.action ?? null;
  if (action === null) return view.stage === "reverting" ? "The traffic is being taken back now." : untouched(state);
  switch (action) {
    case "revert":
      return `The traffic was taken back to the baseline${left(state)}`;
    case "abort":
      return `The owner of the release was told to take it back${left(state)}`;
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

const rateOf = ({ course }) => course?.canary?.per_second.at(-1) ?? null;

function untouched(state) {
  const { view, tick } = state;
  const weight = tick?.weight ?? view.release.weight;
  const rate = rateOf(state);
  const said = weight === null || weight === undefined ? "The weight of the canary is not known" : `The canary has a weight of ${amount(weight)} %`;
  const gets = rate === null ? "" : `, and got ${amount(rate)} requests a second (${percent(tick?.share)}) in the last tick`;
  return `${said}${gets}. Nothing is done about it while it is watched.`;
}

function left(state) {
  const decided = at(state, "decided");
  const silent = at(state, "canary_silent");
  const confirmed = at(state, "confirmed", "traffic_left");
  if (silent !== null) return `, and has left: the canary got nothing more ${(silent - decided).toFixed(1)} s after the decision.`;
  if (confirmed === null) return "; it is not confirmed yet.";
  const rate = rateOf(state);
  const seen = rate === null ? "" : ` In the last tick the canary got ${amount(rate)} requests a second.`;
  return `: confirmed ${(confirmed - decided).toFixed(1)} s after the decision.${seen}`;
}

/** Pairs of a term and what is known of it. */
export function facts({ view }) {
  const share = view.canary_requests / (view.canary_requests + view.baseline_requests || 1);
  const said = {
    Evidence: view.boundary === null ? null : `${amount(view.evidence)}, a rollback needs ${amount(view.boundary)}`,
    Requests: `${amount(view.canary_requests)} of the canary, ${amount(view.baseline_requests)} of the baseline (${percent(share)})`,
    Watched: `${span(view.seconds)}, ${amount(view.ticks)} ticks${view.gaps > 0 ? `, ${amount(view.gaps)} of them without data` : ""}`,
    Begun: dated(view.submitted_at),
    Decided: view.verdict ? `${dated(view.verdict.decided_at)}, by ${view.verdict.by}` : null,
    "For the pipeline": view.verdict?.meaning ?? null,
    Beside: view.signals.map(({ words }) => words).join("; ") || view.verdict?.signals.map(({ words }) => words).join("; ") || null,
    Owner: view.owner || null,
    Read: view.fallback || null,
    After: view.after ? `the promotion of release ${view.after}, whose canary it watches on alone` : null,
    Artifact: view.release.artifact,
    Revision: view.release.revision,
    "Initiated by": view.release.initiated_by,
    Release: view.id,
  };
  return Object.entries(said).filter(([, text]) => text !== null && text !== undefined);
}

/** What would end its watch, a line each. */
export function endings({ view }) {
  const asked = view.waits_until ? [`the time for a person's word, at ${dated(view.waits_until)}: then it is inconclusive`] : null;
  const left = asked ?? (view.window_seconds === null ? [] : [`its window, in ${span(view.window_seconds - view.seconds)}: then it is inconclusive, unless it is promoted`]);
  const evidence = `evidence of ${amount(view.boundary)} that the canary is worse at all, and enough that it is worse than tolerated: a rollback`;
  const promotion = view.waiting_for === "" ? [] : [`a promotion; so far: ${view.waiting_for}`];
  const hindered = view.hindrances.map((one) => `for now neither, as long as this stands: ${one}`);
  return [evidence, ...promotion, ...hindered, ...left, "a newer release of the service, or a person's word", ...view.unresolved];
}

/** Pairs of a link's name and where it leads, its places filled in with what the release is. */
export function elsewhere({ view }, links) {
  const { release } = view;
  const known = { ...release, release: view.id, cluster: release.cluster ?? view.verdict?.cluster };
  return Object.entries(links).map(([name, to]) => [name, to.replace(/\{(\w+)\}/g, (_, place) => encodeURIComponent(known[place] ?? ""))]);
}

const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** The command that takes the traffic back by hand, with every argument. */
export function command({ view }) {
  const { release } = view;
  const words = ["verdictd", "revert", `--service=${release.service}`, `--namespace=${release.namespace}`];
  if (release.mesh) words.push(`--mesh=${release.mesh}`);
  for (const arm of ["baseline", "canary"]) {
    for (const field of ["workload", "version", "subset", "service"]) if (release[arm][field]) words.push(`--${arm}=${field}=${release[arm][field]}`);
    for (const [key, value] of Object.entries(release[arm].labels ?? {})) words.push(`--${arm}=labels.${key}=${value}`);
  }
  if (release.route) words.push(`--route=${release.route}`);
  return words.map(quoted).join(" ");
}
