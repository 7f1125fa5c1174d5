/** A compiled region for people: its guest instructions, each followed by the WebAssembly made of it. Compiles once more what was compiled before. */
import { disassemble, MAX_INSTRUCTION } from '../x86/disassemble.ts';
import type { CodePage } from './codepages.ts';
import { compileModule } from './compile.ts';
import type { CodeMode } from './decode.ts';
import { wasmText } from './wasmtext.ts';

const PAGE = 4096;

/** What a region is made of. Plain data: it crosses threads. */
export interface RegionSource {
  pages: CodePage[];
  /** Offset of the first instruction in the first page. */
  entry: number;
  mode: CodeMode;
  /** Made for CPL 3. */
  user: boolean;
  features: number;
  /** What it was given to take in. */
  hints?: readonly number[];
}

/** The bytes at an offset from the first page, as far as there are some. */
function bytesAt(pages: readonly CodePage[], offset: number): Uint8Array {
  const bytes: number[] = [];
  for (let at = offset; bytes.length < MAX_INSTRUCTION; at++) {
    const page = pages.find(({ delta }) => delta === at >> 12);
    if (!page) break;
    bytes.push(page.bytes[at & (PAGE - 1)]!);
  }
  return Uint8Array.from(bytes);
}

/** `linear` is the address of the first page's byte 0. Empty when the code there can't be compiled as it is now. */
export function codeListing({ pages, entry, mode, user, features, hints = [] }: RegionSource, linear: bigint): string[] {
  const module = compileModule([{ pages, entry, mode, user, features, hints }]);
  const compiled = module?.regions[0];
  if (!compiled) return [];
  const address = (offset: number) => BigInt.asUintN(Math.max(mode, 32), linear + BigInt(offset));
  const lines = [
    `region 0x${address(entry).toString(16)}, ${mode}-bit, privilege ${user ? 3 : 0}: ${new Set(compiled.marks.map(([, at]) => at)).size} instructions, ${module.wasm.length} bytes of WebAssembly`,
  ];
  let next = 0;
  for (const { depth, text, offset } of wasmText(module.wasm, mode)) {
    for (; next < compiled.marks.length && compiled.marks[next]![0] <= offset; next++) {
      const at = compiled.marks[next]![1];
      lines.push(`;; ${address(at).toString(16).padStart(8, '0')}  ${disassemble(bytesAt(pages, at), address(at), mode).text}`);
    }
    lines.push(`${'  '.repeat(depth + 1)}${text}`);
  }
  return lines;
}
