/** What the endpoint answers: CONTRACT of `daq`, sections 3 and 4. Times `*_at` are epoch seconds. */

export type Health = "healthy" | "degraded" | "down" | "stopped" | "paused";

export interface Condition {
  type: string;
  status: "True" | "False" | "Unknown";
  reason: string;
  message: string;
  since: number;
}

export interface Device {
  name: string;
  endpoint: string;
  connected: boolean;
  last_read_at: number | null;
  reads: number;
  errors: number;
  late_cycles: number;
  cycle_ms: number;
  last_error: string | null;
  quarantined: { tag: string; address: string; reason: string; since: number }[];
}

export interface Termination {
  exit_code: number | null;
  signal: number | null;
  reason: string;
  at: number;
  lived_s?: number | null;
  tail?: string;
}

export interface Points {
  acquired: number;
  delivered: number;
  queued: number;
  dropped: number;
  rejected: number;
}

export interface Status {
  name: string;
  kind: "Collector" | "Sink";
  type: string;
  title: string | null;
  labels: Record<string, string>;
  status: string;
  health: Health;
  pid: number | null;
  cpu_percent: number;
  memory_mb: number;
  uptime_s: number | null;
  restart_count: number;
  last_error: string | null;
  desired_state: "running" | "stopped";
  digest: string | null;
  next_restart_at: number | null;
  command: string[];
  manifest: { path: string | null; line: number | null } | null;
  interval_s: number | null;
  sinks: string[];
  node: string;
  conditions: Condition[];
  last_termination: Termination | null;
  devices: Device[];
  points: Points;
  points_per_second: number;
}

/** What stands beside the status objects. */
export interface Plant {
  converged: boolean;
  reconciler: { node: string; version: string };
  source: Source;
  summary: { points_per_second: number; queued_points: number; stale_tags: number };
}

/** Where manifests come from; `verified` is null where no signatures are asked for. */
export interface Source {
  applied: string | null;
  branch: string | null;
  dirty: boolean | null;
  verified: boolean | null;
  error: string | null;
}

/** What the next pass would do to one name, as `daq diff -o json` has it. */
export interface Pending {
  name: string;
  verdict: string;
  reason: string;
  message: string;
  changes: Change[];
}

export interface Value {
  device: string;
  tag: string;
  value: number | string | boolean | null;
  unit: string | null;
  quality: string;
  at: number | null;
  raw: unknown;
}

export interface Change {
  field: string;
  before: unknown;
  after: unknown;
  effect: "live" | "restart";
}

export interface PlantEvent {
  number: number;
  at: number;
  name: string | null;
  reason: string;
  message: string;
}
