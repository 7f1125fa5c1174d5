import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Browser } from 'playwright-core';
import { PNG } from 'pngjs';

/** RGBA rows from the top. */
export interface Picture {
  width: number;
  height: number;
  data: ArrayLike<number>;
}

/** The picture that vncsnapshot, a VNC client we did not write, gets of `host:display`. Its JPEG of quality 100 is decoded by the browser. */
export async function vncsnapshot(display: string, browser: Browser): Promise<Picture> {
  const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-vncsnapshot-'));
  try {
    const jpeg = path.join(folder, 'screen.jpg');
    execFileSync('vncsnapshot', ['-quiet', '-quality', '100', display, jpeg], { timeout: 30_000, stdio: ['ignore', 'pipe', 'pipe'] });
    return await decodeInBrowser(readFileSync(jpeg), browser);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function decodeInBrowser(jpeg: Buffer, browser: Browser): Promise<Picture> {
  const page = await browser.newPage();
  try {
    // A string, since tests are type-checked without the DOM.
    const png = await page.evaluate<string>(`(async () => {
      const image = new Image();
      image.src = 'data:image/jpeg;base64,${jpeg.toString('base64')}';
      await image.decode();
      const canvas = document.createElement('canvas');
      canvas.width = image.naturalWidth;
      canvas.height = image.naturalHeight;
      canvas.getContext('2d').drawImage(image, 0, 0);
      return canvas.toDataURL('image/png');
    })()`);
    return readPng(Buffer.from(png.slice(png.indexOf(',') + 1), 'base64'));
  } finally {
    await page.close();
  }
}

/** Plays a WebM video to its end in a page without a policy; its size and length, seconds. Rejects when the browser cannot. */
export async function playsInBrowser(webm: Buffer, browser: Browser): Promise<{ width: number; height: number; seconds: number }> {
  const page = await browser.newPage();
  try {
    return await page.evaluate(`(async () => {
      const video = document.createElement('video');
      video.muted = true;
      video.src = 'data:video/webm;base64,${webm.toString('base64')}';
      const ended = new Promise((resolve, reject) => {
        video.onended = resolve;
        video.onerror = () => reject(new Error(video.error.message));
      });
      video.playbackRate = 8;
      await video.play();
      await ended;
      return { width: video.videoWidth, height: video.videoHeight, seconds: video.currentTime };
    })()`);
  } finally {
    await page.close();
  }
}

export function readPng(bytes: Buffer): Picture {
  const { width, height, data } = PNG.sync.read(bytes);
  return { width, height, data };
}

export function readPngFile(file: string): Picture {
  return readPng(readFileSync(file));
}

/** Mean absolute difference of the colour channels, 0..255. Throws when the sizes differ. */
export function difference(a: Picture, b: Picture): number {
  if (a.width !== b.width || a.height !== b.height) throw new Error(`sizes differ: ${a.width}x${a.height} and ${b.width}x${b.height}`);
  let sum = 0;
  for (let i = 0; i < a.width * a.height; i++)
    for (let channel = 0; channel < 3; channel++) sum += Math.abs(a.data[i * 4 + channel]! - b.data[i * 4 + channel]!);
  return sum / (a.width * a.height * 3);
}

/** A part of a picture; throws when it reaches beyond it. */
export function crop({ width, height, data }: Picture, x: number, y: number, partWidth: number, partHeight: number): Picture {
  if (x < 0 || y < 0 || x + partWidth > width || y + partHeight > height)
    throw new Error(`${x},${y} ${partWidth}x${partHeight} is not inside ${width}x${height}`);
  const part = new Uint8Array(partWidth * partHeight * 4);
  for (let row = 0; row < partHeight; row++)
    for (let i = 0; i < partWidth * 4; i++) part[row * partWidth * 4 + i] = data[((y + row) * width + x) * 4 + i]!;
  return { width: partWidth, height: partHeight, data: part };
}

/** Number of different colours. */
export function colours(picture: Picture): number {
  const seen = new Set<number>();
  for (let i = 0; i < picture.width * picture.height; i++)
    seen.add((picture.data[i * 4]! << 16) | (picture.data[i * 4 + 1]! << 8) | picture.data[i * 4 + 2]!);
  return seen.size;
}
