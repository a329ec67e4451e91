/** Light, dark, or as the system says. */

import { ref, watchEffect } from "vue";

const KEY = "daq.theme";
const THEMES = ["auto", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

export const theme = ref<Theme>(THEMES.find((t) => t === localStorage.getItem(KEY)) ?? "auto");

watchEffect(() => {
  document.documentElement.dataset.theme = theme.value;
});

/** The next of the three. */
export function nextTheme(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length]!;
  localStorage.setItem(KEY, theme.value);
}
