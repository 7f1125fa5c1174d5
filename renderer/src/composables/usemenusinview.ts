import { onBeforeUnmount, onMounted } from 'vue';

/** The list of any open menu of ours. */
export const MENU_LIST = '.n-dropdown-menu';

/** The arrow keys mark entries of a menu without giving them the focus: nothing else would bring one into view in a list that the window cuts. */
function onKey({ key }: KeyboardEvent): void {
  if (key !== 'ArrowDown' && key !== 'ArrowUp') return;
  // The menus may hear the key after us, and draw later still.
  requestAnimationFrame(() => {
    for (const entry of document.querySelectorAll(`${MENU_LIST} .n-dropdown-option-body--pending`))
      entry.scrollIntoView({ block: 'nearest' });
  });
}

/** Once for the whole app. */
export function useMenusInView(): void {
  onMounted(() => window.addEventListener('keydown', onKey));
  onBeforeUnmount(() => window.removeEventListener('keydown', onKey));
}
