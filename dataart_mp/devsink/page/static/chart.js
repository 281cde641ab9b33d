// The chart of arrivals per second in the last two minutes.

import uPlot from "./vendor/uplot/uPlot.esm.js";
import { byId } from "./element.js";
import { count } from "./format.js";

const SECONDS = 120;
const HEIGHT = 104;

export class Chart {
  #bySecond = new Map();
  #ahead = 0;
  #plot = null;
  #place = byId("chart");

  constructor() {
    this.restyle();
    new ResizeObserver(() => this.#plot.setSize({ width: this.#place.clientWidth, height: HEIGHT })).observe(this.#place);
    setInterval(() => this.draw(), 1000);
  }

  /** @param rate lists of second, items, rejected, faulted @param now time of the sink's clock, in seconds */
  add(rate, now) {
    this.#ahead = now - Date.now() / 1000;
    for (const [second, items, rejected, faulted] of rate) this.#bySecond.set(second, [items, rejected + faulted]);
    for (const second of this.#bySecond.keys()) if (second < now - SECONDS - 5) this.#bySecond.delete(second);
  }

  clear() {
    this.#bySecond.clear();
  }

  draw() {
    if (document.hidden) return;
    // The current second is incomplete, and would always look like a drop.
    const last = Math.floor(Date.now() / 1000 + this.#ahead) - 1;
    const times = Array.from({ length: SECONDS }, (_, index) => last - SECONDS + 1 + index);
    const [items, wrong] = [0, 1].map((column) => times.map((time) => this.#bySecond.get(time)?.[column] ?? 0));
    this.#plot.setData([times, items, wrong]);
    const text = `${count(items.at(-1))} now · peak ${count(Math.max(...items))}`;
    byId("rate-text").textContent = text;
    this.#place.setAttribute("aria-label", `Arrivals per second in the last two minutes: ${text}`);
  }

  /** Draw again after a change of colours. */
  restyle() {
    const style = getComputedStyle(document.documentElement);
    const probe = document.createElement("span");
    document.body.append(probe);
    const colour = (name) => ((probe.style.color = `var(${name})`), getComputedStyle(probe).color);
    const [accent, soft, bad, quiet, line] = ["--accent", "--accent-soft", "--bad", "--quiet", "--line"].map(colour);
    probe.remove();
    const font = `11px ${style.fontFamily}`;
    const axis = { stroke: quiet, font, grid: { stroke: line, width: 1 }, ticks: { show: false } };
    const options = {
      width: this.#place.clientWidth,
      height: HEIGHT,
      padding: [8, 26, 0, 0],
      cursor: { show: false },
      legend: { show: false },
      scales: { y: { range: (_plot, _min, max) => [0, Math.max(5, max * 1.1)] } },
      axes: [
        { ...axis, grid: { show: false }, size: 22, space: 90, values: (_plot, times) => times.map((time) => new Date(time * 1000).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false })) },
        { ...axis, size: 52, space: 26, values: (_plot, numbers) => numbers.map((number) => (Number.isInteger(number) ? count(number) : "")) },
      ],
      series: [
        {},
        { stroke: accent, fill: soft, width: 1.5, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } },
        { stroke: bad, fill: bad, width: 0, paths: uPlot.paths.bars({ size: [0.9], align: 1 }), points: { show: false } },
      ],
    };
    this.#plot?.destroy();
    this.#plot = new uPlot(options, [[], [], []], this.#place);
    this.draw();
  }
}
