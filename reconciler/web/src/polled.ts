/** An answer of the endpoint, asked again and again while its component is shown and the page is visible. */

import { onScopeDispose, shallowRef, type ShallowRef } from "vue";

export interface Polled<T> {
  answer: Readonly<ShallowRef<T | null>>;
  failure: Readonly<ShallowRef<string | null>>;
}

export function polled<T>(ask: () => Promise<T>, everyMs: number): Polled<T> {
  const answer = shallowRef<T | null>(null);
  const failure = shallowRef<string | null>(null);
  let timer = 0;
  let over = false;

  async function round(): Promise<void> {
    if (!document.hidden) {
      try {
        answer.value = await ask();
        failure.value = null;
      } catch (error) {
        failure.value = error instanceof Error ? error.message : String(error);
      }
    }
    if (!over) timer = window.setTimeout(() => void round(), everyMs);
  }

  void round();
  onScopeDispose(() => {
    over = true;
    clearTimeout(timer);
  });
  return { answer, failure };
}
