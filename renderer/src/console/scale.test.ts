import { expect, test } from 'vitest';
import { pictureFor, renderingOf, scaleOf } from './scale.ts';

const text = { width: 720, height: 400 };

test('exact is one pixel of the screen for each of the guest, whatever the ratio', () => {
  for (const ratio of [1, 1.25, 1.5, 2, 1.1]) expect(scaleOf('exact', text, { width: 300, height: 200 }, ratio) * ratio).toBeCloseTo(1, 12);
});

test('whole factors are counted in pixels of the screen; a picture that is too large is fitted', () => {
  expect(scaleOf('integer', text, { width: 1440, height: 800 }, 1)).toBe(2);
  expect(scaleOf('integer', text, { width: 1439.999, height: 800 }, 1)).toBe(2);
  expect(scaleOf('integer', text, { width: 1439, height: 800 }, 1)).toBe(1);
  // 1200 x 700 of CSS are 1500 x 875 pixels: twice.
  expect(scaleOf('integer', text, { width: 1200, height: 700 }, 1.25) * 1.25).toBeCloseTo(2, 12);
  expect(scaleOf('integer', text, { width: 360, height: 400 }, 1)).toBe(0.5);
  expect(scaleOf('fit', text, { width: 1080, height: 800 }, 1)).toBe(1.5);
  expect(scaleOf('fit', { width: 0, height: 0 }, { width: 1080, height: 800 }, 1)).toBe(0);
});

test('a picture that follows the window is exact; one that does not is fitted', () => {
  for (const ratio of [1, 1.25, 1.5, 2]) {
    const window = { width: 1000.4, height: 701.2 };
    const { w, h } = pictureFor(window, ratio);
    expect(scaleOf('follow', { width: w, height: h }, window, ratio)).toBe(1 / ratio);
    // Rounded down by the guest's driver.
    expect(scaleOf('follow', { width: w & ~7, height: h }, window, ratio)).toBe(1 / ratio);
    expect(scaleOf('follow', { width: w + 1, height: h }, window, ratio)).toBe(scaleOf('fit', { width: w + 1, height: h }, window, ratio));
    expect(scaleOf('follow', { width: 640, height: 480 }, window, ratio)).toBe(scaleOf('fit', { width: 640, height: 480 }, window, ratio));
  }
  expect(pictureFor({ width: 1000.4, height: 700 }, 1.25)).toEqual({ w: 1250, h: 875 });
});

test('pixels stay sharp at whole factors unless asked otherwise', () => {
  expect(renderingOf('auto', 1 / 1.25, 1.25)).toBe('pixelated');
  expect(renderingOf('auto', 2, 1)).toBe('pixelated');
  expect(renderingOf('auto', 1.5, 1)).toBe('auto');
  expect(renderingOf('auto', 0.5, 1)).toBe('auto');
  expect(renderingOf('sharp', 1.5, 1)).toBe('pixelated');
  expect(renderingOf('smooth', 2, 1)).toBe('auto');
});
