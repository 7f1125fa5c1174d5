import type { ConsolePreferences } from '../../../core/contract/consolesettings.ts';

export type Scaling = ConsolePreferences['consoleScaling'];
export type Smoothing = ConsolePreferences['consoleSmoothing'];

/** Pixels by which a picture that follows the window may be smaller than it. */
const FOLLOW_SLACK = 16;

interface Size {
  width: number;
  height: number;
}

/**
 * How many CSS pixels a guest pixel takes. `window` is in CSS pixels, of which each has `ratio` pixels of the screen (a fraction on many screens): what is to be exact
 * has to be counted in those.
 */
export function scaleOf(scaling: Scaling, picture: Size, window: Size, ratio: number): number {
  if (scaling === 'exact') return 1 / ratio;
  if (!(picture.width > 0 && picture.height > 0 && window.width > 0 && window.height > 0)) return 0;
  // Drivers may round down to what they can do.
  const near = (room: number, has: number) => room * ratio - has > -1e-3 && room * ratio - has < FOLLOW_SLACK;
  if (scaling === 'follow' && near(window.width, picture.width) && near(window.height, picture.height)) return 1 / ratio;
  const fit = Math.min(window.width / picture.width, window.height / picture.height);
  // Window sizes are rounded: a hundredth of a pixel too little is enough all the same.
  const whole = Math.floor(fit * ratio + 1e-3);
  // A picture larger than the window has no whole factor; it is better seen as a whole.
  return scaling === 'integer' && whole >= 1 ? whole / ratio : fit;
}

/** Size, pixels, of a picture that fills the window one to one. */
export function pictureFor(window: Size, ratio: number): { w: number; h: number } {
  return { w: Math.floor(window.width * ratio + 1e-3), h: Math.floor(window.height * ratio + 1e-3) };
}

/** The value of CSS `image-rendering` at that scale. */
export function renderingOf(smoothing: Smoothing, scale: number, ratio: number): 'pixelated' | 'auto' {
  if (smoothing !== 'auto') return smoothing === 'sharp' ? 'pixelated' : 'auto';
  const factor = scale * ratio;
  return factor >= 0.99 && Math.abs(factor - Math.round(factor)) < 0.01 ? 'pixelated' : 'auto';
}
