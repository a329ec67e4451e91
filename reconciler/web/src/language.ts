/** English or Chinese: the page's own texts, and the table of reasons it shares with the command line. */

import { ref, watchEffect } from "vue";
import reasons from "../../reasons.json";
import { texts, type Texts } from "./texts";

export type Language = "en" | "zh";

export interface Words {
  short: string;
  means: string;
  todo: string;
}

const KEY = "daq.language";
const TABLE: Record<string, Record<Language, string[]>> = reasons;
const FAMILIES = Object.keys(TABLE).filter((key) => key.endsWith("*"));

export const language = ref<Language>(first());

watchEffect(() => {
  document.documentElement.lang = language.value === "zh" ? "zh-CN" : "en";
});

export function choose(chosen: Language): void {
  language.value = chosen;
  localStorage.setItem(KEY, chosen);
}

/** The page's texts in the language in force. */
export function t(): Texts {
  return texts[language.value];
}

/** A reason in words; one that the table does not know stands for itself. */
export function explain(reason: string): Words {
  const family = FAMILIES.find((key) => reason.startsWith(key.slice(0, -1)));
  const entry = TABLE[reason] ?? (family ? TABLE[family] : undefined);
  const [short = reason, means = "", todo = ""] = entry?.[language.value] ?? [];
  return { short, means, todo };
}

function first(): Language {
  const kept = localStorage.getItem(KEY);
  if (kept === "en" || kept === "zh") return kept;
  return navigator.language.startsWith("zh") ? "zh" : "en";
}
