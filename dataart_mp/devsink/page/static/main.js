// The page: connects the stream of events with the views.

import * as api from "./api.js";
import { announce } from "./announce.js";
import { Arrivals } from "./arrivals.js";
import { Chart } from "./chart.js";
import { copy } from "./clipboard.js";
import { Detail } from "./detail.js";
import { confirm, help } from "./dialog.js";
import { byId } from "./element.js";
import { Empty } from "./empty.js";
import { Faults } from "./faults.js";
import { Feed } from "./feed.js";
import { Filter } from "./filter.js";
import { Fresh } from "./fresh.js";
import { plural } from "./format.js";
import { Keys } from "./keys.js";
import { Notice } from "./notice.js";
import { Rejected } from "./rejected.js";
import { Result } from "./result.js";
import { focusSearch, listen } from "./shortcuts.js";
import { measure } from "./sticky.js";
import { Theme } from "./theme.js";
import { Totals } from "./totals.js";

const SHOWN_WHEN_PAUSED = 500;
const OLDER = 500;

const filter = new Filter(restart);
const chart = new Chart();
const theme = new Theme(() => chart.restyle());
const totals = new Totals(filter);
const keys = new Keys(filter);
const notice = new Notice();
const empty = new Empty();
const faults = new Faults();
const arrivals = new Arrivals(filter, (arrival) => detail.arrival(arrival));
const rejected = new Rejected((request) => detail.request(request));
const detail = new Detail(filter, () => (arrivals.rows.release(true), rejected.rows.release(true)));
const fresh = new Fresh(() => shownList());
const result = new Result(filter);

let anyKey = true;
let stats = null;
let keyCount = 0;
let isPaused = false;
let missed = 0;

const shownList = () => (filter.kind === "rejected" ? rejected : arrivals);

const feed = new Feed({
  snapshot(first) {
    anyKey = first.any_key;
    fresh.drop();
    if (!isPaused) arrivals.replace(first.arrivals);
    if (first.problem) notice.problem(first.problem);
    rejected.replace(first.rejected);
    result.found(first.matched, first.arrivals.length);
    chart.clear();
    showCounts(first);
    chart.draw();
  },

  update(change) {
    if (change.reset) clear();
    result.added(change.matched);
    const isAway = fresh.isAway;
    const isRejected = filter.kind === "rejected";
    if (isPaused) missed += change.matched;
    else {
      if (isAway && !isRejected) fresh.hold(change.arrivals, change.matched);
      else arrivals.add(change.arrivals);
      if (change.matched > change.arrivals.length) notice.sampled(change.rate.at(-2)?.[1]);
    }
    if (isAway && isRejected) fresh.hold(change.rejected, change.rejected.length);
    else rejected.add(change.rejected);
    showCounts(change);
  },

  state(state) {
    const word = { live: isPaused ? "paused" : "live", lost: "the sink is unreachable" }[state];
    byId("connection").textContent = word;
    byId("connection").dataset.state = state === "live" && isPaused ? "paused" : state;
  },
});

function showCounts({ stats: now, keys: number, faults: rules, rate, now: time }) {
  stats = now;
  keyCount = number;
  totals.show(stats);
  keys.show(stats.by_key, keyCount);
  rejected.total(stats.rejected_requests);
  faults.show(rules);
  chart.add(rate, time);
  arrange();
}

/** Show one of the two lists, or why it is empty. */
function arrange() {
  const isRejected = filter.kind === "rejected";
  const size = shownList().size;
  byId("arrivals").hidden = isRejected || !size;
  byId("rejected").hidden = !isRejected || !size;
  byId("headings").hidden = isRejected || !size;
  byId("older").hidden = isRejected || size < 200;
  if (isPaused) notice.paused(missed, togglePause);
  result.show(arrivals.size);
  if (size) empty.hide();
  else if (isRejected) empty.nothing("rejected requests");
  else if (stats?.actions || stats?.identities || !filter.isOpen) empty.nothing("matching arrivals", () => filter.clear());
  else empty.first(anyKey, stats?.rejected_requests ?? 0, () => filter.set({ kind: "rejected" }));
}

/** Apply a changed filter. */
async function restart() {
  detail.close();
  notice.hide();
  fresh.drop();
  fresh.top();
  result.clear();
  feed.open(filter.query);
  if (stats) keys.show(stats.by_key, keyCount);
  if (isPaused) await showKept(SHOWN_WHEN_PAUSED);
  if (stats) arrange();
}

/** Show the newest kept items that match, without sampling. */
async function showKept(limit) {
  if (filter.kind === "rejected") return;
  try {
    const kept = await api.arrivals({ ...filter.query, limit });
    arrivals.replace(kept.arrivals);
  } catch (error) {
    notice.problem(error.message);
  }
}

async function togglePause() {
  isPaused = !isPaused;
  missed = 0;
  fresh.drop();
  byId("pause").setAttribute("aria-pressed", isPaused);
  byId("pause").querySelector(".label").textContent = isPaused ? "Resume" : "Pause";
  byId("pause").querySelector(".icon").dataset.icon = isPaused ? "play" : "pause";
  byId("connection").textContent = isPaused ? "paused" : "live";
  byId("connection").dataset.state = isPaused ? "paused" : "live";
  notice.hide();
  if (!isPaused) return feed.open(filter.query);
  await showKept(SHOWN_WHEN_PAUSED);
  arrange();
}

async function showOlder() {
  if (!isPaused) await togglePause();
  await showKept(arrivals.size + OLDER);
  arrange();
}

function clear() {
  fresh.drop();
  arrivals.replace([]);
  rejected.replace([]);
  result.found(0, 0);
  chart.clear();
  detail.close();
  notice.hide();
  missed = 0;
}

function askToClear() {
  const text = `${plural(stats?.actions ?? 0, "event", "events")}, ${plural(stats?.identities ?? 0, "user", "users")}, all counts and all faults.`;
  confirm("Delete everything?", text, "Clear", async () => {
    await api.reset();
    announce("Everything was deleted");
  });
}

function move(step) {
  shownList().rows.move(step);
}

function escape() {
  if (detail.isOpen) detail.close();
  else if (!filter.isOpen) filter.clear();
}

measure();
byId("address").textContent = location.origin;
byId("address").addEventListener("click", () => copy(location.origin, location.origin, byId("address")));
byId("pause").addEventListener("click", togglePause);
byId("clear").addEventListener("click", askToClear);
byId("open-faults").addEventListener("click", () => faults.open());
byId("open-help").addEventListener("click", help);
byId("older").addEventListener("click", showOlder);
listen({
  "/": focusSearch,
  " ": togglePause,
  j: () => move(1),
  k: () => move(-1),
  ArrowDown: () => move(1),
  ArrowUp: () => move(-1),
  Escape: escape,
  n: () => fresh.release(),
  f: () => faults.open(),
  c: askToClear,
  t: () => theme.next(),
  "?": help,
  1: () => filter.set({ kind: "all" }),
  2: () => filter.set({ kind: "actions" }),
  3: () => filter.set({ kind: "identities" }),
  4: () => filter.set({ kind: "rejected" }),
});
feed.open(filter.query);
