import { nextTick } from 'vue';
import { all, nothing, ranged, toggled } from './selection.ts';
import { dragMachines } from './machinedrag.ts';
import { useLibrary } from '../stores/library.ts';

/** Choosing machines by mouse and keyboard, the same in grid and table. */
export function useChoosing() {
  const library = useLibrary();
  const order = () => library.shown.map(({ id }) => id);

  /** A click with Ctrl or Shift chooses, and does not open. */
  function click(event: MouseEvent, id: string): void {
    // Buttons and the box mean what they always do.
    if ((event.target as HTMLElement).closest('button, input, [role="menuitem"]')) return;
    if (event.shiftKey) library.selection = ranged(library.selection, id, order(), event.ctrlKey || event.metaKey);
    else if (event.ctrlKey || event.metaKey) library.selection = toggled(library.selection, id);
    else return;
    event.preventDefault();
    event.stopPropagation();
    window.getSelection()?.removeAllRanges();
  }

  /** The box of a machine: with Shift a range, as in mail programs. */
  function tick(event: MouseEvent, id: string): void {
    library.selection = event.shiftKey ? ranged(library.selection, id, order(), true) : toggled(library.selection, id);
  }

  /**
   * Arrows go from machine to machine, with Shift they choose on the way; Space chooses. `columns` of the grid, `show` brings a machine into view
   * that is not drawn.
   */
  async function key(event: KeyboardEvent, columns: number, show: (index: number) => void): Promise<void> {
    const box = event.currentTarget as HTMLElement;
    const focused = event.target as HTMLElement;
    if (!focused.matches('[data-machine-link]')) return;
    const id = focused.closest<HTMLElement>('[data-id]')?.dataset.id;
    const ids = order();
    const at = id === undefined ? -1 : ids.indexOf(id);
    if (id === undefined || at < 0) return;
    if (event.key === ' ') {
      event.preventDefault();
      library.selection = toggled(library.selection, id);
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const steps: Record<string, number> = {
      ArrowRight: columns > 1 ? 1 : 0,
      ArrowLeft: columns > 1 ? -1 : 0,
      ArrowDown: columns,
      ArrowUp: -columns,
      Home: -at,
      End: ids.length - 1 - at,
    };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    const to = Math.min(ids.length - 1, Math.max(0, at + step));
    const next = ids[to]!;
    if (event.shiftKey) {
      const anchored = library.selection.anchor === null ? { ids: library.selection.ids, anchor: id } : library.selection;
      library.selection = ranged(anchored, next, ids, false);
    }
    show(to);
    await nextTick();
    box.querySelector<HTMLElement>(`[data-id="${CSS.escape(next)}"] [data-machine-link]`)?.focus();
  }

  return {
    click,
    tick,
    key,
    drag: (event: DragEvent, id: string) => dragMachines(event, id, library.selection.ids),
    selectAll: () => (library.selection = all(order())),
    clear: () => (library.selection = nothing),
  };
}
