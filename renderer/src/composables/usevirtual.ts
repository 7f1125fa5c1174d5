import { computed, onBeforeUnmount, onMounted, type Ref, ref } from 'vue';

/** Rows drawn above and below what is seen. */
const overscan = 4;

/**
 * Which rows of a long list are worth drawing. `box` is the list inside the nearest scrolling parent; it gets room above and below for the rows that are
 * left out. `first` is how far its rows begin below its upper edge.
 */
export function useVirtual(box: Ref<HTMLElement | null>, rows: (width: number) => number, rowHeight: (width: number) => number, first = 0) {
  const top = ref(0);
  const height = ref(0);
  const width = ref(0);
  let scroller: HTMLElement | null = null;
  /** Where the rows begin in what scrolls: read when sizes change, for reading it while scrolling would lay out everything once more. */
  let begin = 0;
  let observer: ResizeObserver | undefined;

  function look(): void {
    if (!scroller || !box.value) return;
    // Rows, not pixels: nothing is drawn anew while the same ones are seen.
    const row = Math.max(1, rowHeight(width.value));
    top.value = Math.floor(Math.max(0, scroller.scrollTop - begin) / row);
  }
  function measure(): void {
    if (!scroller || !box.value) return;
    height.value = scroller.clientHeight;
    width.value = box.value.clientWidth;
    begin = box.value.offsetTop + first;
    look();
  }
  onMounted(() => {
    scroller = box.value?.closest<HTMLElement>('[data-scroller]') ?? null;
    scroller?.addEventListener('scroll', look, { passive: true });
    if (scroller && box.value) {
      observer = new ResizeObserver(measure);
      observer.observe(scroller);
      observer.observe(box.value);
    }
    measure();
  });
  onBeforeUnmount(() => {
    scroller?.removeEventListener('scroll', look);
    observer?.disconnect();
  });

  const row = computed(() => rowHeight(width.value));
  const from = computed(() => Math.max(0, Math.min(top.value, rows(width.value) - 1) - overscan));
  const to = computed(() =>
    Math.min(rows(width.value), Math.max(0, top.value) + Math.ceil(height.value / Math.max(1, row.value)) + overscan + 1),
  );
  const above = computed(() => from.value * row.value);
  const below = computed(() => Math.max(0, rows(width.value) - to.value) * row.value);

  /** Scrolls so that a row is seen. */
  function show(index: number): void {
    if (!scroller || !box.value) return;
    const at = begin + index * row.value;
    if (at < scroller.scrollTop) scroller.scrollTop = at;
    else if (at + row.value > scroller.scrollTop + scroller.clientHeight) scroller.scrollTop = at + row.value - scroller.clientHeight;
    look();
  }

  return { from, to, above, below, row, width, show };
}
