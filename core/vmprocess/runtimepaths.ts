import { fileURLToPath } from 'node:url';
import { existsSync } from 'node:fs';
import path from 'node:path';

/** Files that a VM process needs besides its own code. */
export interface RuntimePaths {
  firmwareFolder: string;
  cpuWasm: string;
  machineThread: URL;
}

/** Where the parts lie: in the source tree, in `out/` of a build, or in the resources of a packaged app. `from` is the import.meta.url of any file of core. */
export function runtimePaths(from: string): RuntimePaths {
  if (from.endsWith('.ts')) {
    // core/<floor>/file.ts, possibly deeper.
    const root = from.slice(0, from.lastIndexOf('/core/') + 1);
    return {
      firmwareFolder: fileURLToPath(new URL('resources/firmware', root)),
      cpuWasm: fileURLToPath(new URL('out/wasm/cpu.wasm', root)),
      machineThread: new URL('core/vmprocess/machinethread.ts', root),
    };
  }
  const packaged = (process as { resourcesPath?: string }).resourcesPath;
  const machineThread = new URL('./machinethread.js', from);
  if (packaged && existsSync(path.join(packaged, 'wasm', 'cpu.wasm')))
    return { firmwareFolder: path.join(packaged, 'firmware'), cpuWasm: path.join(packaged, 'wasm', 'cpu.wasm'), machineThread };
  return {
    firmwareFolder: fileURLToPath(new URL('../../resources/firmware', from)),
    cpuWasm: fileURLToPath(new URL('../wasm/cpu.wasm', from)),
    machineThread,
  };
}

/** Entry of the compile thread; it lies beside that of the machine thread, in the source tree and in a build. */
export function compileThreadBeside(machineThread: URL): URL {
  return new URL(machineThread.href.replace(/machinethread(\.[jt]s)$/, 'compilethread$1'));
}
