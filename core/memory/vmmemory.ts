import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { GUEST_RAM_BASE, GUEST_RAM_MAX } from './layout.ts';

const WASM_PAGE = 65536;

/**
 * Creates the shared memory of a VM with `ramBytes` of guest RAM (a multiple of 1 MiB), and `behindBytes` behind it for a display's own memory (gpumemory.ts). Throws 'resource-limit' or
 * 'invalid-argument'.
 */
export function createVmMemory(ramBytes: number, behindBytes = 0): WebAssembly.Memory {
  if (!Number.isInteger(ramBytes) || ramBytes < 1 << 20 || ramBytes % (1 << 20) !== 0)
    throw new HypervueError('invalid-argument', say('memoryWholeMiB', { bytes: ramBytes }), {
      operation: 'create memory',
    });
  if (ramBytes > GUEST_RAM_MAX)
    throw new HypervueError(
      'resource-limit',
      say('memoryOverBuiltin', { mib: ramBytes / (1 << 20), most: GUEST_RAM_MAX / (1 << 20) }),
      { operation: 'create memory' },
      say('fixAtMost', { mib: GUEST_RAM_MAX / (1 << 20) }),
    );
  const pages = (GUEST_RAM_BASE + ramBytes + behindBytes) / WASM_PAGE;
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  } catch (cause) {
    throw new HypervueError(
      'resource-limit',
      say('memoryNotReserved', { mib: ramBytes / (1 << 20) }),
      { operation: 'create memory' },
      say('fixLessMemory'),
      cause,
    );
  }
}
