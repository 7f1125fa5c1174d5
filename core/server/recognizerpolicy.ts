/** The worker that recognises text in pictures, below the folder of the renderer (renderer/recognizerfiles.ts). */
export const RECOGNIZER = 'ocr/worker.min.js';

/** Content security policy of that worker: it may compile WebAssembly, which no page may, and gets its files from where it comes from and nothing else. */
export const RECOGNIZER_POLICY = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'";
