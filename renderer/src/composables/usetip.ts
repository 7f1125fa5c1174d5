import { shallowRef } from 'vue';

/** What the one tooltip of the window says, and where. */
export interface Tip {
  text: string;
  x: number;
  y: number;
  side: 'top' | 'bottom';
}

/** How long the pointer rests before something is said. */
const delayMs = 350;
/** Room that a line needs above; with less it stands below. */
const room = 48;

export const tip = shallowRef<Tip | null>(null);
let owner: HTMLElement | null = null;
let timer: ReturnType<typeof setTimeout> | undefined;

function show(element: HTMLElement, text: string): void {
  if (!element.isConnected) return;
  const { left, width, top, bottom } = element.getBoundingClientRect();
  const side = top < room ? 'bottom' : 'top';
  tip.value = { text, x: left + width / 2, y: side === 'top' ? top : bottom, side };
}

/** Says what belongs to an element, after a moment; what is said of another one ends. */
export function sayOf(element: HTMLElement, text: string): void {
  sayNothing();
  if (text === '') return;
  owner = element;
  timer = setTimeout(() => show(element, text), delayMs);
}

/** Ends what is said, of one element or of any. */
export function sayNothing(element: HTMLElement | null = owner): void {
  if (element !== owner) return;
  clearTimeout(timer);
  owner = null;
  tip.value = null;
}
