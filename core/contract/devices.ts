import { withBootEntry } from './boot.ts';
import { busOf, type DriveBus, fits, freePlace } from './drives.ts';
import { type NetPlace, netPlaces, type NetworkCard } from './networks.ts';
import type { Drive, VmConfig } from './vm.ts';

/** Drives and cards of a configuration: where they are, and configurations with one more or one less. */
type Drives = Pick<VmConfig, 'boot' | 'drives'>;

/** Most serial ports of a machine: COM1 and COM2. */
export const MAX_PORTS = 2;

export const driveAt = ({ drives }: Pick<VmConfig, 'drives'>, id: string): Drive | undefined => drives.find((drive) => drive.id === id);
export const cardAt = ({ network }: Pick<VmConfig, 'network'>, id: string): NetworkCard | undefined =>
  network.find((card) => card.id === id);

/** What a disk that is added is attached to when nobody chose: as the first disk, whose driver the guest has. */
export function usualDiskBus({ drives }: Pick<VmConfig, 'drives'>): DriveBus {
  const first = drives.find(({ kind }) => kind === 'disk');
  const bus = first && busOf(first.id);
  return bus === undefined || bus === 'floppy' ? 'ide' : bus;
}

/** A place on a bus where a drive of this kind can go; undefined when there is none. */
export function freeDrivePlace(
  { drives }: Pick<VmConfig, 'drives'>,
  bus: DriveBus | 'floppy',
  kind: Drive['kind'],
): Drive['id'] | undefined {
  const free = freePlace(
    bus,
    drives.map(({ id }) => id),
  );
  return free && fits(kind, free) ? free : undefined;
}

/** With a drive more, which is tried last at boot. One on USB brings the controller along. */
export function withDrive({ boot, drives, usb }: Drives & Pick<VmConfig, 'usb'>, drive: Drive): Drives & Partial<Pick<VmConfig, 'usb'>> {
  const next = [...drives, drive];
  return {
    ...(busOf(drive.id) === 'usb' && !usb ? { usb: { tablet: false } } : {}),
    drives: next,
    boot: { ...boot, order: withBootEntry(boot.order, next, drive.id) },
  };
}

/** Without a drive, also in the boot order. */
export function withoutDrive({ boot, drives }: Drives, id: string): Drives {
  return { drives: drives.filter((drive) => drive.id !== id), boot: { ...boot, order: boot.order.filter((entry) => entry !== id) } };
}

/** Without a card, also in the boot order. */
export function withoutCard({ boot, network }: Pick<VmConfig, 'boot' | 'network'>, id: string): Pick<VmConfig, 'boot' | 'network'> {
  return { network: network.filter((card) => card.id !== id), boot: { ...boot, order: boot.order.filter((entry) => entry !== id) } };
}

/** A place that no card has. */
export const freeCardPlace = ({ network }: Pick<VmConfig, 'network'>): NetPlace | undefined =>
  netPlaces.find((place) => !network.some(({ id }) => id === place));
