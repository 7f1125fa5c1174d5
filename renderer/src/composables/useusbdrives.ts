import { driveAt } from '../../../core/contract/devices.ts';
import { busOf, type DriveId } from '../../../core/contract/drives.ts';
import type { VmSummary } from '../../../core/contract/vm.ts';
import { useConnection } from '../stores/connection.ts';
import { useMachines } from '../stores/machines.ts';
import { toDto, useNotices } from '../stores/notices.ts';
import { asksForPassphrase } from './passphrase.ts';
import { useHardwareText } from './usehardwaretext.ts';

/** The machine is on and has a USB controller, so that drives of its configuration can come and go. */
export function takesUsbDrives({ state, config, runsWith }: VmSummary): boolean {
  return (state === 'running' || state === 'paused') && Boolean((runsWith ?? config)?.usb);
}

/** Whether such a drive is plugged in now. */
export const isPlugged = ({ config, runsWith }: VmSummary, drive: DriveId): boolean =>
  (runsWith ?? config)?.drives.some(({ id }) => id === drive) ?? false;

/** Plugs USB drives into a machine that is on, and pulls them out. */
export function useUsbDrives(vm: () => VmSummary) {
  const connection = useConnection();
  const machines = useMachines();
  const notices = useNotices();
  const text = useHardwareText();
  const called = (drive: DriveId) => text.driveName(drive, driveAt(vm().config ?? { drives: [] }, drive)?.kind ?? 'disk');

  /** After the passphrase was asked for where the image is encrypted. False when it is not plugged in (yet); why was shown. */
  async function plug(drive: DriveId): Promise<boolean> {
    const { id, name } = vm();
    const run = async (passphrase?: string) => {
      machines.byId.set(id, await connection.call('vm.plugDrive', { id, drive, ...(passphrase ? { passphrase } : {}) }));
      notices.toast({ key: 'toast.drivePlugged', tone: 'success', params: { drive: called(drive), name } });
    };
    try {
      await run();
      return true;
    } catch (error) {
      if (asksForPassphrase(toDto(error))) notices.unlock = { what: 'drive', name: called(drive), run };
      else notices.showError('update', name, error);
      return false;
    }
  }

  async function unplug(drive: DriveId): Promise<boolean> {
    const { name } = vm();
    if (!(await notices.ask({ key: 'unplugDrive', params: { drive: called(drive), name }, danger: true, lines: [] }))) return false;
    return pullOut(drive);
  }

  /** Without asking. */
  async function pullOut(drive: DriveId): Promise<boolean> {
    const { id, name } = vm();
    try {
      machines.byId.set(id, await connection.call('vm.unplugDrive', { id, drive }));
      notices.toast({ key: 'toast.driveUnplugged', tone: 'success', params: { drive: called(drive), name } });
      return true;
    } catch (error) {
      notices.showError('update', name, error);
      return false;
    }
  }

  return { plug, unplug, pullOut };
}

export const onUsb = (drive: DriveId): boolean => busOf(drive) === 'usb';
