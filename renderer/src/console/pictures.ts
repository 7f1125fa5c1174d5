import { saidError } from '../connection/saiderror.ts';

/** Pictures of the guest's screen as files and for the clipboard. */

export interface Area {
  x: number;
  y: number;
  width: number;
  height: number;
}

export const pngBytes = (base64: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

/** Browsers have the clipboard for pictures on secure pages only. */
export const canCopyPictures = (): boolean => typeof ClipboardItem !== 'undefined' && typeof navigator.clipboard?.write === 'function';

export async function copyPng(png: Blob): Promise<void> {
  await navigator.clipboard.write([new ClipboardItem({ 'image/png': png })]);
}

/** A part of a picture, pixel for pixel. */
export async function cutPng(png: Blob, area: Area): Promise<Blob> {
  const bitmap = await createImageBitmap(png, area.x, area.y, area.width, area.height);
  try {
    const canvas = document.createElement('canvas');
    canvas.width = area.width;
    canvas.height = area.height;
    canvas.getContext('2d')!.drawImage(bitmap, 0, 0);
    return await new Promise((resolve, reject) =>
      canvas.toBlob(
        (blob) => (blob ? resolve(blob) : reject(saidError('internal', ['pictureNotEncoded'], { operation: 'encode' }))),
        'image/png',
      ),
    );
  } finally {
    bitmap.close();
  }
}

/** The area between two corners in any order, whole pixels inside the picture; at least one pixel. */
export function areaBetween(a: { x: number; y: number }, b: { x: number; y: number }, size: { width: number; height: number }): Area {
  const clamp = (value: number, max: number) => Math.min(Math.max(Math.floor(value), 0), max);
  const left = clamp(Math.min(a.x, b.x), size.width - 1);
  const top = clamp(Math.min(a.y, b.y), size.height - 1);
  const right = clamp(Math.max(a.x, b.x), size.width - 1);
  const bottom = clamp(Math.max(a.y, b.y), size.height - 1);
  return { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
}
