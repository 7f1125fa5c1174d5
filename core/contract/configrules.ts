import { busOf, fits } from './drives.ts';
import type { Said } from './said.ts';
import { rule } from './texts.ts';
import type { VmConfig } from './vm.ts';

/** What is wrong with a configuration that the schema can't say, and where: keys and indices from the top of vm.json. */
export interface ConfigProblem {
  path: (string | number)[];
  message: string;
  said: Said;
  /** The device that it is about. */
  object: string;
}

export type CheckedConfig = Pick<VmConfig, 'drives' | 'network' | 'usb' | 'serial' | 'firmware' | 'cpu' | 'boot'>;

/** Rules between the fields of a configuration. Empty when all are kept. */
export function configProblems(config: CheckedConfig): ConfigProblem[] {
  const problems: ConfigProblem[] = [];
  const add = (object: string, broken: ReturnType<typeof rule>, ...path: (string | number)[]) => problems.push({ path, object, ...broken });
  if (config.firmware === 'uefi') {
    if (config.boot.kernel) add('firmware', rule('ruleKernelBios'), 'firmware');
    if (config.cpu.model === 'i686') add('firmware', rule('ruleUefi64'), 'firmware');
  }
  const seen = new Set<string>();
  config.drives.forEach((drive, i) => {
    if (seen.has(drive.id)) add(drive.id, rule('ruleTwoDrives', { drive: drive.id }), 'drives', i, 'id');
    seen.add(drive.id);
    if (!fits(drive.kind, drive.id)) add(drive.id, rule('ruleWrongPlace', { kind: drive.kind, drive: drive.id }), 'drives', i, 'id');
    if (busOf(drive.id) === 'usb' && !config.usb) add(drive.id, rule('ruleUsbController', { drive: drive.id }), 'drives', i, 'id');
    if (drive.kind === 'disk' && drive.path === null) add(drive.id, rule('ruleNoImage', { drive: drive.id }), 'drives', i, 'path');
  });
  const cards = new Set<string>();
  const addresses = new Set<string>();
  config.network.forEach(({ id, mac }, i) => {
    if (cards.has(id)) add(id, rule('ruleTwoCards', { card: id }), 'network', i, 'id');
    cards.add(id);
    if (addresses.has(mac)) add(id, rule('ruleSameMac', { mac }), 'network', i, 'mac');
    addresses.add(mac);
  });
  config.serial.forEach((port, index) => {
    if (port.type === 'file' && !staysInside(port.path ?? `serial${index}.log`))
      add(
        `serial${index}`,
        rule('ruleSerialFile', { port: `COM${index + 1}` }),
        'serial',
        index,
        port.path === undefined ? 'type' : 'path',
      );
  });
  return problems;
}

/** Whether a path leads to somewhere below the folder that it is relative to, on every kind of host. */
function staysInside(file: string): boolean {
  return !/^([/\\]|[a-z]:)/i.test(file) && !file.split(/[/\\]/).includes('..');
}
