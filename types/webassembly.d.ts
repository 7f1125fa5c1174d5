/** The parts of the WebAssembly namespace that core uses; neither ES2024's library nor Node's types declare them. */
declare namespace WebAssembly {
  interface MemoryDescriptor { initial: number; maximum?: number; shared?: boolean }
  class Memory {
    constructor(descriptor: MemoryDescriptor);
    readonly buffer: ArrayBuffer;
    grow(delta: number): number;
  }
  class Module { constructor(bytes: Uint8Array | ArrayBuffer) }
  function compile(bytes: Uint8Array): Promise<Module>;
  class Instance {
    constructor(module: Module, imports?: Record<string, Record<string, unknown>>);
    // biome-ignore lint/suspicious/noExplicitAny: exports are typed by each accelerator
    readonly exports: any;
  }
  /** Functions. */
  class Table {
    constructor(descriptor: { element: 'anyfunc'; initial: number; maximum?: number });
    set(index: number, value: unknown): void;
    get(index: number): unknown;
    readonly length: number;
  }
  class Global {
    constructor(descriptor: { value: 'i32' | 'i64'; mutable?: boolean }, value: number | bigint);
    value: number | bigint;
  }
}
