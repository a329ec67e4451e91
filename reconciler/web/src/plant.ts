/** What is known of the plant: every status object, the figures over all, and when the reconciler last gave a sign. */

import { computed, ref, shallowRef, triggerRef, watch } from "vue";
import { getJson, openSocket, tokenEntered, tokenWanted } from "./api";
import { History } from "./history";
import type { Plant, Status } from "./types";

interface Message extends Plant {
  type: "process_status_update" | "process_status_change";
  timestamp: number;
  heartbeat_at: number;
  data: Status[];
  removed: string[];
}

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 5_000;
/** A living reconciler passes at least every 5 s. */
const SILENT_S = 12;
const LOST_S = 2;

export const processes = shallowRef<ReadonlyMap<string, Status>>(new Map());
/** Null until a first message has come. */
export const plant = shallowRef<Plant | null>(null);
export const history = new History();
/** Epoch seconds by the reconciler's clock, which this machine's may differ from; ticks each second. */
export const now = ref(Date.now() / 1000);

const connected = ref(false);
const heartbeatAt = ref(0);
let clockAhead = 0;
let pauseMs = FIRST_PAUSE_MS;

/** Seconds since the reconciler's last sign of life, where that is too long; else null. */
export const silentFor = computed(() => {
  if (!plant.value) return null;
  const silence = now.value - heartbeatAt.value;
  return silence > (connected.value ? SILENT_S : LOST_S) ? Math.floor(silence) : null;
});

/** Follow the plant for as long as the page is open. */
export function follow(): void {
  setInterval(() => (now.value = performance.now() / 1000 + clockAhead), 1000);
  watch(tokenEntered, () => void connect());
  void connect();
}

async function connect(): Promise<void> {
  try {
    await getJson("/api/status"); // a browser does not tell a refused token from a refused connection
  } catch {
    if (!tokenWanted.value) again();
    return;
  }
  const socket = openSocket("/ws/processes");
  socket.onopen = () => {
    connected.value = true;
    pauseMs = FIRST_PAUSE_MS;
  };
  socket.onmessage = (event: MessageEvent<string>) => take(JSON.parse(event.data) as Message);
  socket.onclose = () => {
    connected.value = false;
    again();
  };
}

function again(): void {
  setTimeout(() => void connect(), pauseMs);
  pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS);
}

function take(message: Message): void {
  clockAhead = message.timestamp - performance.now() / 1000;
  now.value = message.timestamp;
  heartbeatAt.value = message.heartbeat_at;
  const whole = message.type === "process_status_update";
  const known = whole ? new Map<string, Status>() : (processes.value as Map<string, Status>);
  for (const status of message.data) known.set(status.name, status);
  for (const name of message.removed) known.delete(name);
  history.add(message.data);
  processes.value = known;
  if (!whole) triggerRef(processes);
  plant.value = message;
}
