import { bootSequence } from '../../../core/contract/bootsequence.ts';
import { busOf, type DriveId } from '../../../core/contract/drives.ts';
import { cardAt, driveAt } from '../../../core/contract/devices.ts';
import type { NetPlace } from '../../../core/contract/networks.ts';
import type { Drive, VmConfig, VmPatch } from '../../../core/contract/vm.ts';

/** The fields of a configuration that the hardware page edits. */
export const editedFields = [
  'name',
  'description',
  'os',
  'cpu',
  'memoryMiB',
  'firmware',
  'boot',
  'drives',
  'display',
  'network',
  'usb',
  'serial',
  'clock',
  'timekeeping',
  'hpet',
  'paravirt',
  'debug',
] as const satisfies readonly (keyof VmPatch & keyof VmConfig)[];
export type EditedField = (typeof editedFields)[number];

/** Parts of the machine, each with a page of its own: drives, cards and ports by their place, the others by what they are. */
export type DeviceKind =
  | 'machine'
  | 'cpu'
  | 'memory'
  | 'boot'
  | 'display'
  | 'disk'
  | 'cdrom'
  | 'floppy'
  | 'controller'
  | 'network'
  | 'usb'
  | 'serial'
  | 'input'
  | 'clock'
  | 'chipset'
  | 'debug'
  | 'config'
  | 'explain';

export interface Device {
  /** In addresses: `cpu`, `ide0`, `serial1`, `controller-ahci`. */
  id: string;
  kind: DeviceKind;
  /** What of the configuration its page edits. */
  fields: readonly EditedField[];
}

export const controllers = ['ide', 'sata', 'virtio', 'floppy'] as const;
export type Controller = (typeof controllers)[number];

/** Controllers that the machine has: IDE is part of its chipset, the others come with their drives. */
export const controllersOf = (drives: readonly Drive[]): Controller[] =>
  controllers.filter((bus) => bus === 'ide' || drives.some(({ id }) => busOf(id) === bus));

/** Every part of a machine in the order of the page. */
export function devicesOf(config: VmConfig): Device[] {
  const fixed = (id: DeviceKind, ...fields: EditedField[]): Device => ({ id, kind: id, fields });
  return [
    fixed('machine', 'name', 'description', 'os'),
    fixed('cpu', 'cpu', 'paravirt'),
    fixed('memory', 'memoryMiB'),
    fixed('boot', 'firmware', 'boot'),
    fixed('display', 'display'),
    ...config.drives.map(({ id, kind }): Device => ({ id, kind, fields: ['drives'] })),
    ...controllersOf(config.drives).map((bus): Device => ({ id: `controller-${bus}`, kind: 'controller', fields: [] })),
    ...config.network.map(({ id }): Device => ({ id, kind: 'network', fields: ['network'] })),
    ...(config.usb ? [fixed('usb', 'usb')] : []),
    ...config.serial.map((_, i): Device => ({ id: `serial${i}`, kind: 'serial', fields: ['serial'] })),
    fixed('input'),
    fixed('clock', 'clock', 'timekeeping', 'hpet'),
    fixed('chipset'),
    fixed('debug', 'debug'),
    fixed('config'),
    fixed('explain'),
  ];
}

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** What of the draft is not what the configuration says. */
export function patchOf(draft: VmConfig, config: VmConfig): VmPatch {
  return Object.fromEntries(editedFields.flatMap((field) => (same(draft[field], config[field]) ? [] : [[field, draft[field]]])));
}

/** Fields that the machine under way does not have yet. */
export const pendingFields = (config: VmConfig, runsWith: VmConfig | null): EditedField[] =>
  runsWith === null
    ? []
    : editedFields.filter((field) => !['name', 'description', 'os'].includes(field) && !same(config[field], runsWith[field]));

/** Of those, what concerns one part: of a list of drives, cards or ports only its own entry. */
export function isPending({ id, kind, fields }: Device, config: VmConfig, runsWith: VmConfig | null): boolean {
  if (runsWith === null) return false;
  if (kind === 'disk' || kind === 'cdrom' || kind === 'floppy') return !same(driveAt(config, id), driveAt(runsWith, id));
  if (kind === 'network') return !same(cardAt(config, id), cardAt(runsWith, id));
  if (kind === 'serial') return !same(config.serial[portOf(id)], runsWith.serial[portOf(id)]);
  return pendingFields(config, runsWith).some((field) => fields.includes(field));
}

/** Cards are counted from 1. */
export const cardNumber = (id: string): number => Number(id.slice('net'.length)) + 1;
export const portOf = (id: string): number => Number(id.slice('serial'.length));

export interface BootLine {
  id: DriveId | NetPlace;
  on: boolean;
}

/** Drives and network cards as the firmware tries them, then those that it does not. */
export function bootLines({ boot, drives, network }: Pick<VmConfig, 'boot' | 'drives' | 'network'>): BootLine[] {
  const { tried, rest } = bootSequence(boot.order, [...drives, ...network]);
  return [...tried.map(({ id }) => ({ id, on: true })), ...rest.map(({ id }) => ({ id, on: false }))];
}

/** The order that the lines mean. */
export const bootOrderOf = (lines: readonly BootLine[]): BootLine['id'][] => lines.filter(({ on }) => on).map(({ id }) => id);

/** The list with one entry elsewhere; entries keep their order. */
export function moved<T>(list: readonly T[], from: number, to: number): T[] {
  const next = [...list];
  const [entry] = next.splice(from, 1);
  if (entry !== undefined) next.splice(Math.max(0, Math.min(to, next.length)), 0, entry);
  return next;
}
