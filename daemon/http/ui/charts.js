// Pictures in SVG: lines over time with gaps shaded and steps marked, and an interval against its tolerance. Colours are the style's.

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
  const svg = shape("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "img" });
  svg.append(shape("title", {}, about));
  return svg;
};

/** Steps of 1, 2 or 5 times a power of ten, at most `most` of them up to `last`. */
function moments(last, most) {
  const rough = Math.max(last, 1e-9) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((one) => one * power >= rough);
  return Array.from({ length: Math.floor(last / step) + 1 }, (_, number) => Number((number * step).toPrecision(6)));
}

/**
 * Lines over time.
 * @param {{about: string, width: number, t: number[], lines: {name: string, kind: string, values: (number|null)[]}[],
 *   bottom: number, top: number, marks: {value: number, label: string, limit?: boolean}[],
 *   gaps: boolean[], seconds: number[], steps: {t: number, label: string}[]}} chart
 */
export function lines(chart) {
  const { t, width, bottom, top } = chart;
  const last = Math.max(t.at(-1) ?? 1, ...chart.steps.map((step) => step.t), 1e-3);
  const x = (seconds) => LEFT + (Math.max(0, seconds) / last) * (width - LEFT - RIGHT);
  const y = (value) => TOP + (1 - (Math.min(top, Math.max(bottom, value)) - bottom) / (top - bottom)) * (HEIGHT - TOP - BOTTOM);
  const svg = picture(width, HEIGHT, chart.about);
  chart.gaps.forEach((gap, row) => {
    if (!gap) return;
    const from = x(t[row] - chart.seconds[row]);
    svg.append(shape("rect", { class: "gap", x: from, y: TOP, width: Math.max(1, x(t[row]) - from), height: HEIGHT - TOP - BOTTOM }));
  });
  for (const { value, label, limit } of chart.marks) {
    svg.append(shape("line", { class: limit ? "limit" : "axis", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }));
    svg.append(shape("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end", class: limit ? "strong" : "" }, label));
  }
  for (const at of moments(last, width < 500 ? 4 : 8)) {
    svg.append(shape("text", { x: x(at), y: HEIGHT - 6, "text-anchor": at === 0 ? "start" : "middle" }, `${amount(at)} s`));
  }
  for (const step of chart.steps) {
    const mark = shape("line", { class: "step", x1: x(step.t), x2: x(step.t), y1: TOP, y2: HEIGHT - BOTTOM });
    mark.append(shape("title", {}, step.label));
    svg.append(mark);
  }
  for (const line of chart.lines) {
    const curve = shape("path", { class: `curve ${line.kind}`, d: path(line.values, (row) => x(t[row]), y) });
    curve.append(shape("title", {}, line.name));
    svg.append(curve);
  }
  return svg;
}

/** Interrupted where there is no value; a value by itself is a dot's length. */
function path(values, x, y) {
  let words = "";
  let down = false;
  values.forEach((value, row) => {
    const there = value !== null && value !== undefined;
    if (there) words += `${down ? "L" : "M"}${x(row).toFixed(1)} ${y(value).toFixed(1)}${down ? "" : "h.1"}`;
    down = there;
  });
  return words;
}

/**
 * One effect with what surely holds of it, against its tolerance. An end that is not known goes to the picture's edge, as an arrow.
 * @param {{about: string, width: number, none: number, effect: number|null, low: number|null, high: number|null,
 *   tolerance: number|null, label: (value: number) => string}} interval
 */
export function interval({ about, width, none, effect, low, high, tolerance, label }) {
  const height = 44;
  const middle = 16;
  const known = [none, effect, low, high, tolerance].filter((value) => value !== null && value !== undefined);
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
  const limited = tolerance !== null && tolerance !== undefined;
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
