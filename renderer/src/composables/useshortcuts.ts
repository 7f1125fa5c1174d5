import { onBeforeUnmount, onMounted } from 'vue';

export interface Shortcut {
  /** `KeyboardEvent.key`. */
  key: string;
  run: () => void;
}

/** True where typed characters belong to a field, a terminal or the guest. */
export function takesText(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.closest('[data-takes-keys]')) return true;
  if (target instanceof HTMLInputElement) return !['checkbox', 'radio', 'range', 'button', 'submit'].includes(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || target.isContentEditable;
}

/** Single-key shortcuts of the page while the calling component is mounted; silent in text fields, dialogs and the guest's screen. */
export function useShortcuts(shortcuts: Shortcut[]): void {
  function onKey(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || takesText(event.target)) return;
    if (document.querySelector('[role="dialog"][aria-modal="true"]')) return;
    const shortcut = shortcuts.find((each) => each.key === event.key);
    if (!shortcut) return;
    event.preventDefault();
    shortcut.run();
  }
  onMounted(() => window.addEventListener('keydown', onKey));
  onBeforeUnmount(() => window.removeEventListener('keydown', onKey));
}
