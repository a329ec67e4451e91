/** What a status object comes to. Pure. */

import type { Condition, Health, Status } from "./types";

/** Worst first, as the table is sorted. */
export const HEALTHS: readonly Health[] = ["down", "degraded", "paused", "healthy", "stopped"];
const USUAL = ["Ready", "Healthy"];

export function urgency(status: Status): number {
  return HEALTHS.indexOf(status.health);
}

/** The condition that keeps it from health, else Ready: the one to put in words. */
export function deciding(status: Status): Condition {
  const by = (type: string) => status.conditions.find((c) => c.type === type)!;
  if (status.health === "paused") return status.conditions.find((c) => c.type === "Paused") ?? by("Ready");
  if (status.health === "stopped") return by("Ready");
  const wrong = USUAL.map(by).find((c) => c.status !== "True");
  return wrong ?? status.conditions.find((c) => !USUAL.includes(c.type) && c.type !== "Reconciling") ?? by("Ready");
}

/** The conditions worth telling: what is wrong, or that nothing is. */
export function telling(status: Status): Condition[] {
  const unusual = status.conditions.filter((c) => !USUAL.includes(c.type));
  const wrong = status.conditions.filter((c) => USUAL.includes(c.type) && c.status !== "True");
  const found = status.health === "stopped" ? unusual : [...wrong, ...unusual];
  const seen = new Set<string>();
  const once = found.filter((c) => !seen.has(c.reason) && seen.add(c.reason));
  return once.length ? once : [deciding(status)];
}

export function devicesUp(status: Status): number {
  return status.devices.filter((d) => d.connected).length;
}

/** When a device of it was last read; null where it has none or never was. */
export function lastReadAt(status: Status): number | null {
  const times = status.devices.map((d) => d.last_read_at ?? 0);
  return Math.max(0, ...times) || null;
}

/** Whether what runs is what its manifest asks for, in full. */
export function isSettled(status: Status): boolean {
  const ready = status.conditions.some((c) => c.type === "Ready" && c.status === "True");
  const open = ["Reconciling", "Stalled", "ManifestInvalid", "PruneBlocked", "LockHeld", "Paused"];
  return (ready || status.health === "stopped") && !status.conditions.some((c) => open.includes(c.type));
}
