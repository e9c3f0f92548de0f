// Pictures in SVG: lines over time with their bands, two distributions, an interval against its tolerance. Colours are the style's.

import { amount } from "./common.js";

const SVG = "http://www.w3.org/2000/svg";
const LEFT = 54;
const RIGHT = 10;
const TOP = 8;
const BOTTOM = 22;
const HEIGHT = 150;

function shape(tag, attributes, text = null) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== null) made.textContent = text;
  return made;
}

const picture = (width, height, about) => {
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": about });
  svg.append(shape("title", {}, about));
  return svg;
};

/** Steps of 1, 2 or 5 times a power of ten from 0, at most `most` of them up to `last`. */
export function evenly(last, most) {
  const rough = Math.max(last, 1e-9) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((one) => one * power >= rough * 0.999);
  return Array.from({ length: Math.floor(last / step + 1e-6) + 1 }, (_, number) => Number((number * step).toPrecision(6)));
}

const there = (value) => value !== null && value !== undefined;

/**
 * Lines over time. The pictures of one `group` point at the same moment: what each line is there stands in its name's place.
 * @param {{about: string, t: number[], lines: Line[], bottom: number, top: number, format: (value: number) => string,
 *   marks: {value: number, label: string, limit?: boolean}[],
 *   frame: {width: number, last: number, gaps: {from: number, to: number}[], steps: {t: number, label: string}[], group: Group}}} chart
 *   A line is {name, kind, values, low?, high?, said: Element}; low and high are the ends of its band.
 */
export function lines({ about, t, lines: drawn, bottom, top, format, marks, frame }) {
  const { width, last, group } = frame;
  const x = (seconds) => LEFT + (Math.min(Math.max(0, seconds), last) / last) * (width - LEFT - RIGHT);
  const y = (value) => TOP + (1 - (Math.min(top, Math.max(bottom, value)) - bottom) / (top - bottom)) * (HEIGHT - TOP - BOTTOM);
  const svg = picture(width, HEIGHT, about);
  for (const { from, to } of frame.gaps) {
    svg.append(shape("rect", { class: "gap", x: x(from), y: TOP, width: Math.max(1, x(to) - x(from)), height: HEIGHT - TOP - BOTTOM }));
  }
  for (const { low, high, kind } of drawn) if (low) svg.append(shape("path", { class: `band ${kind}`, d: area(t, low, high, x, y) }));
  for (const { value, label, limit } of marks) {
    svg.append(shape("line", { class: limit ? "limit" : "axis", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }));
    svg.append(shape("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end", class: limit ? "strong" : "" }, label));
  }
  ofTime(svg, frame, x);
  for (const line of drawn) svg.append(shape("path", { class: `curve ${line.kind}`, d: path(line.values, (row) => x(t[row]), y) }));
  svg.append(cursor({ svg, t, drawn, format, x, width, last, group }));
  return svg;
}

/** When, and the steps. */
function ofTime(svg, { width, last, steps }, x) {
  for (const at of evenly(last, width < 500 ? 4 : 8)) {
    const end = x(at) > width - 30;
    svg.append(shape("text", { x: end ? width - RIGHT : x(at), y: HEIGHT - 6, "text-anchor": at === 0 ? "start" : end ? "end" : "middle" }, `${amount(at)} s`));
  }
  for (const step of steps) {
    const mark = shape("line", { class: "step", x1: x(step.t), x2: x(step.t), y1: TOP, y2: HEIGHT - BOTTOM });
    mark.append(shape("title", {}, step.label));
    svg.append(mark);
  }
}

/** A line that follows the pointer in all pictures of the group. */
function cursor({ svg, t, drawn, format, x, width, last, group }) {
  const line = shape("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" });
  const point = (seconds) => {
    const row = seconds === null ? t.length - 1 : nearest(t, seconds);
    line.setAttribute("visibility", seconds === null ? "hidden" : "visible");
    for (const name of ["x1", "x2"]) line.setAttribute(name, x(t[row]));
    for (const { said, values } of drawn) said.textContent = there(values[row]) ? ` ${format(values[row])}` : "";
  };
  const tell = (seconds) => {
    group.at = seconds;
    for (const other of group.points) other(seconds);
  };
  // The pictures of a group point together, so that one of them is enough for keys.
  if (group.points.length === 0) byKeys(svg, t, group, tell);
  group.points.push(point);
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * width;
    tell((Math.max(0, place - LEFT) / (width - LEFT - RIGHT)) * last);
  });
  svg.addEventListener("pointerleave", () => tell(null));
  point(group.at);
  return line;
}

const STEPS = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity };

function byKeys(svg, t, group, tell) {
  svg.setAttribute("tabindex", "0");
  svg.setAttribute("aria-label", `${svg.getAttribute("aria-label")}. Arrow keys point at a moment, Escape at none.`);
  svg.addEventListener("keydown", (event) => {
    if (event.key === "Escape") tell(null);
    if (!(event.key in STEPS)) return;
    event.preventDefault();
    const row = group.at === null ? t.length - 1 : nearest(t, group.at);
    tell(t[Math.min(t.length - 1, Math.max(0, row + STEPS[event.key]))]);
  });
}

function nearest(t, seconds) {
  const after = t.findIndex((at) => at >= seconds);
  if (after <= 0) return after === 0 ? 0 : t.length - 1;
  return t[after] - seconds < seconds - t[after - 1] ? after : after - 1;
}

/** Interrupted where there is no value; a value by itself is a dot's length. */
function path(values, x, y) {
  let words = "";
  let down = false;
  values.forEach((value, row) => {
    if (there(value)) words += `${down ? "L" : "M"}${x(row).toFixed(1)} ${y(value).toFixed(1)}${down ? "" : "h.1"}`;
    down = there(value);
  });
  return words;
}

/** Between two lines, each run of rows where both are there as one area. */
function area(t, low, high, x, y) {
  let words = "";
  let from = 0;
  for (let row = 0; row <= t.length; row += 1) {
    if (row < t.length && there(low[row]) && there(high[row])) continue;
    if (row - from > 1) {
      const rows = Array.from({ length: row - from }, (_, number) => from + number);
      const above = rows.map((one) => `${x(t[one]).toFixed(1)} ${y(high[one]).toFixed(1)}`);
      const below = rows.reverse().map((one) => `${x(t[one]).toFixed(1)} ${y(low[one]).toFixed(1)}`);
      words += `M${above.join("L")}L${below.join("L")}Z`;
    }
    from = row + 1;
  }
  return words;
}

/**
 * Both arms' requests by latency, side by side, each as shares of the arm's own.
 * @param {{about: string, width: number, bounds: number[], arms: {kind: string, counts: number[]}[]}} seen
 */
export function distribution({ about, width, bounds, arms }) {
  const shares = arms.map(({ counts }) => counts.map((count) => count / Math.max(1, counts.reduce((sum, one) => sum + one, 0))));
  const used = bounds.concat(Infinity).map((_, bucket) => shares.some((of) => of[bucket] > 0));
  const [first, last] = [used.indexOf(true), used.lastIndexOf(true)];
  const top = Math.max(...shares.flat(), 0.01);
  const wide = (width - LEFT - RIGHT) / (last - first + 1);
  const y = (share) => TOP + (1 - share / (top * 1.05)) * (HEIGHT - TOP - BOTTOM);
  const svg = picture(width, HEIGHT, about);
  for (const share of evenly(top, 3)) {
    svg.append(shape("line", { class: "axis", x1: LEFT, x2: width - RIGHT, y1: y(share), y2: y(share) }));
    svg.append(shape("text", { x: LEFT - 6, y: y(share) + 4, "text-anchor": "end" }, `${amount(100 * share)} %`));
  }
  const every = Math.ceil(48 / wide);
  for (let bucket = first; bucket <= last; bucket += 1) {
    const left = LEFT + (bucket - first) * wide;
    const reach = `${bucket === 0 ? "" : `${amount(bounds[bucket - 1])} to `}${bucket < bounds.length ? amount(bounds[bucket]) : "more"} ms`;
    arms.forEach(({ kind }, number) => {
      const share = shares[number][bucket];
      const size = { x: left + wide * (0.1 + number * 0.4), width: wide * 0.4, y: y(share), height: Math.max(0, HEIGHT - BOTTOM - y(share)) };
      const bar = shape("rect", { class: `bar ${kind}`, ...size });
      bar.append(shape("title", {}, `${kind}, ${reach}: ${amount(100 * share)} %`));
      svg.append(bar);
    });
    if ((bucket - first) % every === every - 1 && bucket < bounds.length) {
      svg.append(shape("text", { x: Math.min(left + wide, width - 16), y: HEIGHT - 6, "text-anchor": "middle" }, amount(bounds[bucket])));
    }
  }
  return svg;
}

/**
 * One effect with what surely holds of it, against its tolerance. An end that is not known goes to the picture's edge, as an arrow.
 * @param {{about: string, width: number, none: number, effect: number|null, low: number|null, high: number|null,
 *   tolerance: number|null, label: (value: number) => string}} interval
 */
export function interval({ about, width, none, effect, low, high, tolerance, label }) {
  const height = 44;
  const middle = 16;
  const known = [none, effect, low, high, tolerance].filter(there);
  const least = Math.min(...known);
  const most = Math.max(...known);
  const room = (most - least || Math.abs(none) || 0.01) * 0.12;
  const from = least - room;
  const to = most + room;
  const x = (value) => 6 + ((value - from) / (to - from)) * (width - 12);
  const svg = picture(width, height, about);
  svg.append(shape("line", { class: "axis", x1: 6, x2: width - 6, y1: middle, y2: middle }));
  const stroke = (value, kind, words) => {
    svg.append(shape("line", { class: kind, x1: x(value), x2: x(value), y1: 4, y2: 28 }));
    const anchor = x(value) < 60 ? "start" : x(value) > width - 60 ? "end" : "middle";
    svg.append(shape("text", { x: x(value), y: height - 3, "text-anchor": anchor }, words));
  };
  const limited = there(tolerance);
  stroke(none, "axis", limited && Math.abs(x(tolerance) - x(none)) < 70 ? "" : label(none));
  if (limited) stroke(tolerance, "limit", `≤ ${label(tolerance)}`);
  if (low !== null || high !== null) {
    const [start, end] = [low === null ? 6 : x(low), high === null ? width - 6 : x(high)];
    svg.append(shape("rect", { class: "sure", x: start, y: middle - 5, width: Math.max(1, end - start), height: 10, rx: 2 }));
    if (low === null) svg.append(shape("path", { class: "arrow", d: `M12 ${middle - 5}L6 ${middle}L12 ${middle + 5}` }));
    if (high === null) svg.append(shape("path", { class: "arrow", d: `M${width - 12} ${middle - 5}L${width - 6} ${middle}L${width - 12} ${middle + 5}` }));
  }
  if (effect !== null) svg.append(shape("circle", { class: "estimate", cx: x(effect), cy: middle, r: 5 }));
  return svg;
}
