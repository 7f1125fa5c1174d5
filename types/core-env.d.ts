/**
 * What core floors 0-3 may use beyond ECMAScript: the parts of WebAssembly, text coding and microtasks that every
 * JavaScript host has. Deliberately no DOM and no Node types.
 */
declare namespace WebAssembly {
  interface MemoryDescriptor { initial: number; maximum?: number; shared?: boolean }
  class Memory {
    constructor(descriptor: MemoryDescriptor);
    readonly buffer: ArrayBuffer;
    grow(delta: number): number;
  }
  class Module { constructor(bytes: Uint8Array | ArrayBuffer) }
  class Instance {
    constructor(module: Module, imports?: Record<string, Record<string, unknown>>);
    // biome-ignore lint/suspicious/noExplicitAny: exports are typed by each accelerator
    readonly exports: any;
  }
}
declare class TextEncoder { encode(input?: string): Uint8Array<ArrayBuffer> }
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean });
  decode(input?: Uint8Array): string;
}
declare function queueMicrotask(callback: () => void): void;
declare function structuredClone<T>(value: T): T;
