/** What is dragged inside the window: machines by their ids, a folder by its path. */
export const MACHINE_DRAG = 'application/x-hypervue-machines';
export const FOLDER_DRAG = 'application/x-hypervue-folder';

export const draggedIds = (event: DragEvent): string[] => (event.dataTransfer?.getData(MACHINE_DRAG) ?? '').split('\n').filter(Boolean);

/** Takes the machine along, and all that are chosen with it. */
export function dragMachines(event: DragEvent, id: string, chosen: ReadonlySet<string>): void {
  if (!event.dataTransfer) return;
  event.dataTransfer.effectAllowed = 'move';
  event.dataTransfer.setData(MACHINE_DRAG, (chosen.has(id) ? [...chosen] : [id]).join('\n'));
}
