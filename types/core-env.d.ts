/**
 * What core floors 0-3 may use beyond ECMAScript: text coding and microtasks that every
 * JavaScript host has. Deliberately no DOM and no Node types.
 */
declare class TextEncoder { encode(input?: string): Uint8Array<ArrayBuffer> }
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean });
  decode(input?: Uint8Array): string;
}
declare function queueMicrotask(callback: () => void): void;
declare function structuredClone<T>(value: T): T;
