/** The last minutes of what status objects only tell as of now: CPU, memory, points per second. */

import type { Status } from "./types";

const KEPT = 60;
/** The rate is taken over about this long, so that a slow interval does not flicker. */
const RATE_OVER_S = 20;

interface Sample {
  at: number;
  cpu: number;
  memory: number;
  acquired: number;
}

export class History {
  private readonly samples = new Map<string, Sample[]>();

  add(statuses: Status[], at: number): void {
    for (const status of statuses) {
      const kept = this.samples.get(status.name) ?? [];
      this.samples.set(status.name, kept);
      kept.push({ at, cpu: status.cpu_percent, memory: status.memory_mb, acquired: status.points.acquired });
      if (kept.length > KEPT) kept.shift();
    }
  }

  cpu(name: string): number[] {
    return (this.samples.get(name) ?? []).map((s) => s.cpu);
  }

  memory(name: string): number[] {
    return (this.samples.get(name) ?? []).map((s) => s.memory);
  }

  /** Points acquired per second; null until two samples tell. */
  rate(name: string): number | null {
    const kept = this.samples.get(name) ?? [];
    const last = kept.at(-1);
    const first = kept.find((s) => last && last.at - s.at <= RATE_OVER_S);
    if (!first || !last || last.at - first.at < 1) return null;
    return Math.max(0, (last.acquired - first.acquired) / (last.at - first.at));
  }
}
