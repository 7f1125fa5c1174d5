import { HypervueError } from '../util/errors.ts';
import { GUEST_RAM_BASE, GUEST_RAM_MAX } from './layout.ts';

const WASM_PAGE = 65536;

/** Creates the shared memory of a VM with `ramBytes` of guest RAM (a multiple of 1 MiB). Throws 'resource-limit' or 'invalid-argument'. */
export function createVmMemory(ramBytes: number): WebAssembly.Memory {
  if (!Number.isInteger(ramBytes) || ramBytes < 1 << 20 || ramBytes % (1 << 20) !== 0)
    throw new HypervueError('invalid-argument', `memory size must be a whole number of MiB, not ${ramBytes} bytes`, {
      operation: 'create memory',
    });
  if (ramBytes > GUEST_RAM_MAX)
    throw new HypervueError(
      'resource-limit',
      `${ramBytes / (1 << 20)} MiB of memory is more than the built-in engine can give one machine (${GUEST_RAM_MAX / (1 << 20)} MiB)`,
      { operation: 'create memory' },
      `Choose at most ${GUEST_RAM_MAX / (1 << 20)} MiB.`,
    );
  const pages = (GUEST_RAM_BASE + ramBytes) / WASM_PAGE;
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  } catch (cause) {
    throw new HypervueError(
      'resource-limit',
      `the host could not reserve ${ramBytes / (1 << 20)} MiB of memory`,
      { operation: 'create memory' },
      'Close other programs or give the machine less memory.',
      cause,
    );
  }
}
