import type { ConsolePreferences } from '../../../core/contract/consolesettings.ts';

export type Scaling = ConsolePreferences['consoleScaling'];
export type Smoothing = ConsolePreferences['consoleSmoothing'];

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
  const fit = Math.min(window.width / picture.width, window.height / picture.height);
  // Window sizes are rounded: a hundredth of a pixel too little is enough all the same.
  const whole = Math.floor(fit * ratio + 1e-3);
  // A picture larger than the window has no whole factor; it is better seen as a whole.
  return scaling === 'integer' && whole >= 1 ? whole / ratio : fit;
}

/** The value of CSS `image-rendering` at that scale. */
export function renderingOf(smoothing: Smoothing, scale: number, ratio: number): 'pixelated' | 'auto' {
  if (smoothing !== 'auto') return smoothing === 'sharp' ? 'pixelated' : 'auto';
  const factor = scale * ratio;
  return factor >= 0.99 && Math.abs(factor - Math.round(factor)) < 0.01 ? 'pixelated' : 'auto';
}
