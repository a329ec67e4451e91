/** Asking the endpoint; a token, where it wants one, is kept for this tab only. */

import { ref } from "vue";

const KEY = "daq.token";

/** Whether the endpoint wants a token that we do not have. */
export const tokenWanted = ref(false);
/** Grows with every token that was entered: whoever waits for one looks again. */
export const tokenEntered = ref(0);

export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export function enterToken(token: string): void {
  sessionStorage.setItem(KEY, token);
  tokenWanted.value = false;
  tokenEntered.value += 1;
}

/** One answer as JSON; throws ApiError with the problem's own words, TypeError without a connection. */
export async function getJson<T>(path: string): Promise<T> {
  return (await (await get(path)).json()) as T;
}

export async function getText(path: string): Promise<string> {
  return (await get(path)).text();
}

/** The WebSocket's address and, as its subprotocol, the token: browsers cannot send a header with it. */
export function openSocket(path: string): WebSocket {
  const token = sessionStorage.getItem(KEY);
  const url = new URL(path, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  return new WebSocket(url, token ? ["daq.bearer", token] : []);
}

async function get(path: string): Promise<Response> {
  const token = sessionStorage.getItem(KEY);
  const answer = await fetch(path, { headers: token ? { Authorization: `Bearer ${token}` } : {} });
  if (answer.status === 401) tokenWanted.value = true;
  if (!answer.ok) {
    const problem = (await answer.json().catch(() => ({}))) as { detail?: string };
    throw new ApiError(answer.status, problem.detail ?? answer.statusText);
  }
  return answer;
}
