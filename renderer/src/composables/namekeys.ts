const moves: Record<string, (at: number, last: number) => number> = {
  ArrowDown: (at, last) => Math.min(at + 1, last),
  ArrowUp: (at) => Math.max(at - 1, 0),
  Home: () => 0,
  End: (_, last) => last,
};

/** Arrow keys, Home and End in a table move the focus from name to name (buttons of the class `name-button`). */
export function moveBetweenNames(event: KeyboardEvent): void {
  const buttons = [...(event.currentTarget as HTMLElement).querySelectorAll<HTMLElement>('.name-button')];
  const at = buttons.indexOf(document.activeElement as HTMLElement);
  const move = moves[event.key];
  if (at < 0 || !move) return;
  event.preventDefault();
  buttons[move(at, buttons.length - 1)]?.focus();
}
