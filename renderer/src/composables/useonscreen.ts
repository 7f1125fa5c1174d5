import { onBeforeUnmount, onMounted, type Ref, ref } from 'vue';

/** How far outside the window something already counts as near. */
const margin = '300px';
const listeners = new WeakMap<Element, (near: boolean) => void>();
let shared: IntersectionObserver | undefined;

function observer(): IntersectionObserver {
  shared ??= new IntersectionObserver(
    (entries) => {
      for (const entry of entries) listeners.get(entry.target)?.(entry.isIntersecting);
    },
    { rootMargin: margin },
  );
  return shared;
}

/** True while the element is on screen or near it. One observer serves all elements, so that hundreds of cards stay cheap. */
export function useOnScreen(element: Ref<HTMLElement | null>, initially = false): Ref<boolean> {
  const near = ref(initially);
  let watched: HTMLElement | null = null;
  onMounted(() => {
    watched = element.value;
    if (!watched) return;
    listeners.set(watched, (is) => (near.value = is));
    observer().observe(watched);
  });
  onBeforeUnmount(() => {
    if (watched) observer().unobserve(watched);
  });
  return near;
}
