import { appendFile } from 'node:fs/promises';
import path from 'node:path';
import type { VmConfig } from '../contract/vm.ts';
import { fileError } from '../platform/nodefile.ts';
import type { Logger } from '../util/logger.ts';
import { SerialHub } from './seriallog.ts';

/** Serial port `index` of a machine seen from the host, with the file that its output goes to when it has one. */
export function openSerialPort(
  { config, folder }: { config: VmConfig; folder: string },
  index: number,
  input: (bytes: Uint8Array) => void,
  log: Logger,
): SerialHub {
  const hub = new SerialHub(input);
  const port = config.serial[index];
  if (port?.type !== 'file') return hub;
  const file = path.resolve(folder, port.path ?? `serial${index}.log`);
  let writing: Promise<void> = Promise.resolve();
  let failing = false;
  hub.onOutput = (bytes) => {
    writing = writing
      .then(() => appendFile(file, bytes))
      .then(
        () => {
          failing = false;
        },
        (error) => {
          // Once for each trouble: a guest writes on and on.
          if (!failing) log.error(`serial${index}: ${fileError(error, file, 'write').message}; its output is lost meanwhile`);
          failing = true;
        },
      );
  };
  return hub;
}
