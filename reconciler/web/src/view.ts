/** What is shown: filters, order and the open drawer. All of it stands in the address, the order also in this browser. */

import { computed, reactive, watch } from "vue";
import { explain } from "./language";
import { processes } from "./plant";
import { deciding, devicesUp, lastReadAt, urgency } from "./status";
import type { Status } from "./types";

export const SORTS = ["health", "name", "reason", "devices", "read", "rate", "queued", "restarts", "cpu"] as const;
export type Sort = (typeof SORTS)[number];

const KEY = "daq.sort";

export const view = reactive({ text: "", label: "", health: "", open: "", sort: "health" as Sort, descending: false });

/** The address that differs from this one in `changes`. */
export function address(changes: Partial<typeof view> = {}): string {
  const { text, label, health, open } = { ...view, ...changes };
  const parts = Object.entries({ q: text, label, health, sort: order(), open }).filter(([, value]) => value);
  return `#${new URLSearchParams(parts)}`;
}

/** Keep view and address in step, from now on. */
export function keepInAddress(): void {
  readAddress();
  addEventListener("hashchange", readAddress);
  watch(view, () => {
    if (address() !== location.hash) window.history.replaceState(null, "", address());
    localStorage.setItem(KEY, order());
  });
}

export function sortBy(sort: Sort): void {
  view.descending = view.sort === sort && !view.descending;
  view.sort = sort;
}

/** The order in one word, empty for the usual one: `name`, or `-name` from the end. */
function order(): string {
  return view.sort === "health" && !view.descending ? "" : `${view.descending ? "-" : ""}${view.sort}`;
}

function readAddress(): void {
  const found = new URLSearchParams(location.hash.slice(1));
  const wanted = found.get("sort") ?? localStorage.getItem(KEY) ?? "";
  view.text = found.get("q") ?? "";
  view.label = found.get("label") ?? "";
  view.health = found.get("health") ?? "";
  view.open = found.get("open") ?? "";
  view.sort = SORTS.find((s) => s === wanted.replace("-", "")) ?? "health";
  view.descending = wanted.startsWith("-");
}

/** Every label of the plant, as `key=value`. */
export const labels = computed(() => {
  const found = new Set<string>();
  for (const status of processes.value.values()) {
    for (const [key, value] of Object.entries(status.labels)) found.add(`${key}=${value}`);
  }
  return [...found].sort();
});

/** What the filters let through, in order. */
export const shown = computed(() => {
  const words = view.text.toLowerCase().split(/\s+/).filter(Boolean);
  const [key = "", value = ""] = view.label.split("=", 2);
  const found = [...processes.value.values()].filter(
    (s) =>
      (!view.health || s.health === view.health) &&
      (!view.label || s.labels[key] === value) &&
      words.every((word) => haystack(s).includes(word)),
  );
  const by = ORDER[view.sort];
  const sign = view.descending ? -1 : 1;
  return found
    .map((status) => ({ status, rank: by(status) }))
    .sort((a, b) => sign * compare(a.rank, b.rank) || compare(a.status.name, b.status.name))
    .map((entry) => entry.status);
});

const ORDER: Record<Sort, (status: Status) => number | string> = {
  health: urgency,
  name: (s) => s.name,
  reason: (s) => explain(deciding(s).reason).short,
  devices: (s) => devicesUp(s) - s.devices.length,
  read: (s) => lastReadAt(s) ?? Infinity,
  rate: (s) => -s.points_per_second,
  queued: (s) => -s.points.queued,
  restarts: (s) => -s.restart_count,
  cpu: (s) => -s.cpu_percent,
};

function compare(a: number | string, b: number | string): number {
  if (typeof a === "string" || typeof b === "string") return String(a).localeCompare(String(b));
  return a === b ? 0 : a < b ? -1 : 1;
}

function haystack(s: Status): string {
  const devices = s.devices.map((d) => `${d.name} ${d.endpoint}`).join(" ");
  const labels = Object.entries(s.labels).map(([key, value]) => `${key}=${value}`).join(" ");
  const { reason } = deciding(s);
  return `${s.name} ${s.title ?? ""} ${s.type} ${s.status} ${s.health} ${reason} ${explain(reason).short} ${labels} ${devices}`.toLowerCase();
}
