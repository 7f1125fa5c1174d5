import { createRequire, registerHooks } from 'node:module';
import type { ElectronParts } from '../main/electronparts.ts';

const STAND_IN_URL = 'standin:electron';

/**
 * Evaluates the built program's entry with `electron` being the stand-in. Throws ERR_REQUIRE_ASYNC_MODULE when the entry awaits at its top level: Electron
 * is ready only after the entry has been evaluated, so one that waits for it there waits forever.
 */
export function loadEntry(file: string, electron: ElectronParts): void {
  const globals = globalThis as { hypervueStandIn?: ElectronParts };
  globals.hypervueStandIn = electron;
  const source = Object.keys(electron)
    .map((name) => `export const ${name} = globalThis.hypervueStandIn.${name};`)
    .join('\n');
  const hooks = registerHooks({
    resolve: (specifier, context, next) =>
      specifier === 'electron' ? { url: STAND_IN_URL, format: 'module', shortCircuit: true } : next(specifier, context),
    load: (url, context, next) => (url === STAND_IN_URL ? { format: 'module', source, shortCircuit: true } : next(url, context)),
  });
  try {
    createRequire(file)(file);
  } finally {
    hooks.deregister();
    delete globals.hypervueStandIn;
  }
}
