import { onBeforeUnmount, onMounted, type Ref, ref } from 'vue';

/** Keeps an element exactly over the canvas, wherever scale, scrolling and the window put it; the style for it. */
export function useOverCanvas(canvas: () => HTMLElement, surface: Ref<HTMLElement | null>) {
  const style = ref({ left: '0px', top: '0px', width: '0px', height: '0px' });
  let observer: ResizeObserver | undefined;

  function place(): void {
    const parent = surface.value?.parentElement?.getBoundingClientRect();
    const rect = canvas().getBoundingClientRect();
    if (parent)
      style.value = {
        left: `${rect.left - parent.left}px`,
        top: `${rect.top - parent.top}px`,
        width: `${rect.width}px`,
        height: `${rect.height}px`,
      };
  }

  onMounted(() => {
    place();
    observer = new ResizeObserver(place);
    observer.observe(canvas());
    if (surface.value?.parentElement) observer.observe(surface.value.parentElement);
    document.addEventListener('scroll', place, true);
    surface.value?.focus({ preventScroll: true });
  });
  onBeforeUnmount(() => {
    observer?.disconnect();
    document.removeEventListener('scroll', place, true);
  });
  return style;
}
