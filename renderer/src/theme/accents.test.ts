import { expect, test } from 'vitest';
import { accents } from '../../../core/contract/host.ts';
import { accentColors } from './accents.ts';

/** WCAG 2.2, relative luminance and contrast ratio. */
function luminance(hex: string): number {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
const contrast = (a: string, b: string) => {
  const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (light + 0.05) / (dark + 0.05);
};

test.each(accents.flatMap((accent) => (['light', 'dark'] as const).map((theme) => [accent, theme] as const)))(
  '%s is legible in the %s theme',
  (accent, theme) => {
    const colors = accentColors[accent][theme];
    const grounds = theme === 'light' ? ['#ffffff', '#f5f5f7'] : ['#1d1d21', '#151518', '#25252a'];
    for (const ground of [...grounds, colors.soft]) expect(contrast(colors.accent, ground)).toBeGreaterThanOrEqual(4.5);
    for (const ground of [colors.accent, colors.hover])
      expect(contrast(theme === 'light' ? '#ffffff' : '#16161c', ground)).toBeGreaterThanOrEqual(4.5);
  },
);
