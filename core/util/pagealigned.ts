const WASM_PAGE = 65_536;

/** Zeros that begin at a page of the host's memory, as files that go around the system's cache want them. */
export function pageAligned(bytes: number): Uint8Array<ArrayBuffer> {
  const pages = Math.ceil(bytes / WASM_PAGE);
  return new Uint8Array(new WebAssembly.Memory({ initial: pages, maximum: pages }).buffer, 0, bytes);
}
