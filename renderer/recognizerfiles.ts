import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import type { Plugin } from 'vite';

/**
 * What recognises text in pictures (Tesseract as WebAssembly, with English and simplified Chinese), beside the app under names of its own: its worker asks for
 * them by name, and has a policy of its own that lets it compile WebAssembly. Nothing of it is loaded before somebody selects text on a graphical screen.
 */
const files = [
  'tesseract.js/dist/worker.min.js',
  'tesseract.js-core/tesseract-core-simd-lstm.wasm.js',
  '@tesseract.js-data/eng/4.0.0_best_int/eng.traineddata.gz',
  '@tesseract.js-data/chi_sim/4.0.0_best_int/chi_sim.traineddata.gz',
];

export function recognizerFiles(): Plugin {
  const find = createRequire(import.meta.url);
  return {
    name: 'recognizer-files',
    apply: 'build',
    generateBundle() {
      for (const file of files)
        this.emitFile({ type: 'asset', fileName: `ocr/${path.basename(file)}`, source: readFileSync(find.resolve(file)) });
    },
  };
}
