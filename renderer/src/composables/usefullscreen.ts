import { onBeforeUnmount, onMounted, ref } from 'vue';

/** How near to the top edge the pointer has to come for the bar, CSS pixels. */
const revealZone = 4;
/** The bar goes away so long after the pointer has left it. */
const hideMs = 1500;

/**
 * Full screen of the whole document, so that menus and dialogs stay visible; the pane then covers everything else. Its bar shows at first, when the pointer comes to the
 * top edge, and while it is used.
 */
export function useFullscreen(bar: () => HTMLElement | null) {
  const full = ref(false);
  const revealed = ref(false);
  /** Keys of the system reach the page. */
  const locked = ref(false);
  let timer: ReturnType<typeof setTimeout> | undefined;

  const canLock = () => typeof navigator.keyboard?.lock === 'function';

  async function enter(): Promise<void> {
    await document.documentElement.requestFullscreen();
    // Esc, Alt+Tab and the like then reach the guest; holding Esc still leaves full screen.
    if (canLock())
      locked.value = await navigator.keyboard!.lock().then(
        () => true,
        () => false,
      );
  }
  const leave = () => document.exitFullscreen();

  /** Keys of the system go where they are pressed again. */
  function unlock(): void {
    if (locked.value) navigator.keyboard?.unlock();
    locked.value = false;
  }
  /** After the keyboard was given back: the guest gets all keys again. */
  async function lockAgain(): Promise<void> {
    if (full.value && !locked.value && canLock())
      locked.value = await navigator.keyboard!.lock().then(
        () => true,
        () => false,
      );
  }

  const inUse = () => {
    const element = bar();
    return (
      element !== null &&
      (element.matches(':hover') || element.contains(document.activeElement) || document.querySelector('.n-dropdown-menu') !== null)
    );
  };
  function hideSoon(): void {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (inUse()) hideSoon();
      else revealed.value = false;
    }, hideMs);
  }
  function reveal(): void {
    revealed.value = true;
    if (full.value) hideSoon();
  }

  function onChange(): void {
    full.value = document.fullscreenElement !== null;
    if (full.value) reveal();
    else {
      clearTimeout(timer);
      revealed.value = false;
      unlock();
    }
  }
  function onPointer(event: PointerEvent): void {
    if (!full.value) return;
    if (event.clientY < revealZone) reveal();
  }

  onMounted(() => document.addEventListener('fullscreenchange', onChange));
  onBeforeUnmount(() => {
    clearTimeout(timer);
    document.removeEventListener('fullscreenchange', onChange);
    if (document.fullscreenElement) void document.exitFullscreen();
  });
  return { full, revealed, locked, canLock, enter, leave, unlock, lockAgain, reveal, onPointer };
}
