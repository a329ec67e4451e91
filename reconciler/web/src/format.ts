/** Numbers and times as people read them. */

import { language, t } from "./language";

/** `12 s`, `3 min`, `2 h`, `4 d`. */
export function duration(seconds: number): string {
  const units = t().units;
  const s = Math.max(0, Math.round(seconds));
  if (s < 100) return `${s} ${units.s}`;
  if (s < 100 * 60) return `${Math.round(s / 60)} ${units.min}`;
  if (s < 48 * 3600) return `${Math.round(s / 3600)} ${units.h}`;
  return `${Math.round(s / 86400)} ${units.d}`;
}

/** How long ago a reading was; reports come every 10 s, so nothing below that can be told apart. */
export function age(seconds: number): string {
  return seconds < 15 ? t().justNow : duration(seconds);
}

export function count(number: number): string {
  return number.toLocaleString(language.value === "zh" ? "zh-CN" : "en");
}

/** A rate or percentage with as many digits as mean something. */
export function amount(number: number): string {
  return number >= 100 ? count(Math.round(number)) : number.toFixed(number >= 10 ? 0 : 1);
}

/** A reading: at most six significant digits, text and booleans as they are. */
export function reading(value: number | string | boolean | null): string {
  if (value === null) return "–";
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(6)));
}

/** Date and time by this browser's zone, to the second. */
export function moment(at: number): string {
  const day = new Date(at * 1000);
  const two = (n: number) => String(n).padStart(2, "0");
  const date = `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}`;
  return `${date} ${two(day.getHours())}:${two(day.getMinutes())}:${two(day.getSeconds())}`;
}

/** A commit or digest, short. */
export function short(revision: string): string {
  return revision.slice(0, 12);
}
