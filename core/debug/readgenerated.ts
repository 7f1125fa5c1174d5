import { codeListing } from '../cpu/jit/codelisting.ts';
import type { DebugTarget } from './debugrequest.ts';

/** The WebAssembly of the compiled regions that hold the instruction at a linear address, beside their guest code; empty without one. */
export async function readGenerated(target: DebugTarget, address: bigint): Promise<string[]> {
  const found = await target.request<'compiled'>({ op: 'compiled', address });
  return found.flatMap(({ source, linear }) => codeListing(source, linear));
}
