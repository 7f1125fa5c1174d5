/** Text in pictures, recognised with Tesseract in a worker of its own. Loaded when it is first used, from the app's own files. */
import type { Worker } from 'tesseract.js';

/** A word and where it is, in pixels of the picture. */
export interface RecognizedWord {
  text: string;
  x: number;
  y: number;
  width: number;
  height: number;
}
/** Words of one line, from left to right. */
export type RecognizedLine = RecognizedWord[];

/** The letters of screens are small: the models are made for print at 300 dots an inch. */
const WANTED_WIDTH = 3072;
const MAX_FACTOR = 3;
/** Less sure than this is mostly an icon or a border, per cent. */
const LEAST_CONFIDENCE = 40;
/** How long the worker stays for the next picture, ms. It holds some 100 MB. */
const STAY_MS = 60_000;
/** Tesseract's OEM for LSTM models. */
const LSTM_ONLY = 1;

let worker: Promise<Worker> | null = null;
let told: (share: number) => void = () => {};
let timer: ReturnType<typeof setTimeout> | undefined;

async function start(): Promise<Worker> {
  const { createWorker } = await import('tesseract.js');
  const at = (name: string) => new URL(`ocr/${name}`, document.baseURI).href;
  return createWorker(['eng', 'chi_sim'], LSTM_ONLY, {
    workerPath: at('worker.min.js'),
    corePath: at('tesseract-core-simd-lstm.wasm.js'),
    langPath: at('').replace(/\/$/, ''),
    workerBlobURL: false,
    cacheMethod: 'none',
    logger: ({ status, progress }) => {
      if (status === 'recognizing text') told(progress);
    },
  });
}

/** Ends the worker; the next picture starts another. */
async function end(): Promise<void> {
  const ending = worker;
  worker = null;
  await (await ending)?.terminate();
}

/** The picture larger, grey, and dark on light, as print is. */
async function asPrint(png: Blob): Promise<{ picture: HTMLCanvasElement; factor: number }> {
  const bitmap = await createImageBitmap(png);
  try {
    const factor = Math.max(1, Math.min(MAX_FACTOR, WANTED_WIDTH / bitmap.width));
    const picture = document.createElement('canvas');
    picture.width = Math.round(bitmap.width * factor);
    picture.height = Math.round(bitmap.height * factor);
    const drawing = picture.getContext('2d', { willReadFrequently: true })!;
    drawing.imageSmoothingQuality = 'high';
    drawing.filter = 'grayscale(1)';
    drawing.drawImage(bitmap, 0, 0, picture.width, picture.height);
    const sample = document.createElement('canvas');
    sample.width = sample.height = 32;
    const small = sample.getContext('2d')!;
    small.drawImage(picture, 0, 0, 32, 32);
    const { data } = small.getImageData(0, 0, 32, 32);
    let sum = 0;
    for (let i = 0; i < data.length; i += 4) sum += data[i]!;
    if (sum / (data.length / 4) < 128) {
      drawing.filter = 'none';
      drawing.globalCompositeOperation = 'difference';
      drawing.fillStyle = '#fff';
      drawing.fillRect(0, 0, picture.width, picture.height);
    }
    return { picture, factor };
  } finally {
    bitmap.close();
  }
}

/** What is written in a picture, line by line. `progress`: 0..1. Rejects when the recognizer can't be loaded. */
export async function recognize(png: Blob, progress: (share: number) => void): Promise<RecognizedLine[]> {
  clearTimeout(timer);
  told = progress;
  worker ??= start();
  try {
    const { picture, factor } = await asPrint(png);
    const { data } = await (await worker).recognize(picture, {}, { text: false, blocks: true });
    const lines = (data.blocks ?? []).flatMap(({ paragraphs }) => paragraphs.flatMap((paragraph) => paragraph.lines));
    return lines
      .map(({ words }) =>
        words
          .filter(({ text, confidence }) => text.trim() !== '' && confidence >= LEAST_CONFIDENCE)
          .map(({ text, bbox: { x0, y0, x1, y1 } }) => ({
            text,
            x: x0 / factor,
            y: y0 / factor,
            width: (x1 - x0) / factor,
            height: (y1 - y0) / factor,
          })),
      )
      .filter((words) => words.length > 0);
  } catch (error) {
    // One that failed to start would fail for ever.
    await end().catch(() => {});
    throw error;
  } finally {
    timer = setTimeout(() => void end().catch(() => {}), STAY_MS);
  }
}

/** Words that belong to the selection, as text: a line break where a line ends. */
export const textOf = (lines: readonly RecognizedLine[], chosen: (line: number, word: number) => boolean): string =>
  lines
    .map((words, line) =>
      words
        .filter((_, word) => chosen(line, word))
        .map(({ text }) => text)
        .reduce((all, text) => (all && !(isWide(all.at(-1)!) && isWide(text[0]!)) ? `${all} ${text}` : all + text), ''),
    )
    .filter((text) => text !== '')
    .join('\n');

/** Chinese has no blanks between words. */
const isWide = (character: string) => /[\u2e80-\u9fff\uff00-\uffef]/.test(character);
