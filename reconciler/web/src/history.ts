/** The last minutes of what status objects only tell as of now: CPU and memory. */

import type { Status } from "./types";

const KEPT = 60;

interface Sample {
  cpu: number;
  memory: number;
}

export class History {
  private readonly samples = new Map<string, Sample[]>();

  add(statuses: Status[]): void {
    for (const status of statuses) {
      const kept = this.samples.get(status.name) ?? [];
      this.samples.set(status.name, kept);
      kept.push({ cpu: status.cpu_percent, memory: status.memory_mb });
      if (kept.length > KEPT) kept.shift();
    }
  }

  cpu(name: string): number[] {
    return (this.samples.get(name) ?? []).map((s) => s.cpu);
  }

  memory(name: string): number[] {
    return (this.samples.get(name) ?? []).map((s) => s.memory);
  }
}
