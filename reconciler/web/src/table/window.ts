/** Which rows of a long table are near enough to be seen. All rows are of one height, set in CSS. */

import { computed, onBeforeUnmount, onMounted, ref, type Ref } from "vue";

/** Rows kept ready above and below, so that a quick scroll meets no gap. */
const SPARE = 8;

export function nearRows(body: Readonly<Ref<HTMLElement | null>>, count: () => number) {
  const height = ref(52);
  const top = ref(0);
  const visible = ref(40);

  function look(): void {
    const row = body.value?.querySelector<HTMLElement>("tr[data-row]");
    if (row) height.value = row.getBoundingClientRect().height || height.value;
    top.value = Math.max(0, Math.floor(-(body.value?.getBoundingClientRect().top ?? 0) / height.value));
    visible.value = Math.ceil(innerHeight / height.value);
  }

  onMounted(() => {
    look();
    addEventListener("scroll", look, { passive: true });
    addEventListener("resize", look);
  });
  onBeforeUnmount(() => {
    removeEventListener("scroll", look);
    removeEventListener("resize", look);
  });

  const first = computed(() => Math.max(0, Math.min(top.value, count() - visible.value) - SPARE));
  const end = computed(() => Math.min(count(), top.value + visible.value + SPARE));
  const pixels = (rows: number) => ({ height: `${rows * height.value}px` });
  return { first, end, above: computed(() => pixels(first.value)), below: computed(() => pixels(count() - end.value)) };
}
