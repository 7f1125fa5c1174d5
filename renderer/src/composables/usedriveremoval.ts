import { driveAt, withoutCard, withoutDrive } from '../../../core/contract/devices.ts';
import type { VmSummary } from '../../../core/contract/vm.ts';
import { useConnection } from '../stores/connection.ts';
import { useMachines } from '../stores/machines.ts';
import { useNotices } from '../stores/notices.ts';
import { cardNumber } from './hardware.ts';
import { formatBytes } from './useformat.ts';
import { useHardwareText } from './usehardwaretext.ts';
import { isPlugged, onUsb, takesUsbDrives, useUsbDrives } from './useusbdrives.ts';

/** Takes drives, network cards and ports out of a machine, after asking. Images stay, unless the person says otherwise. */
export function useDriveRemoval(vm: () => VmSummary) {
  const connection = useConnection();
  const machines = useMachines();
  const notices = useNotices();
  const text = useHardwareText();
  const usb = useUsbDrives(vm);

  /** False when nothing was done. */
  async function remove(id: string): Promise<boolean> {
    const { config, name, state, folder, runsWith } = vm();
    const drive = config && driveAt(config, id);
    if (!config || !drive) return false;
    const file = drive.kind === 'disk' ? drive.path : null;
    const own = file !== null && !/^([/\\]|[a-z]:)/i.test(file);
    const off = state === 'off' || state === 'crashed';
    const image = own && off ? `${folder}/${file}` : null;
    // What going to the trash is about; a file that is gone has no size.
    const bytes = image && (await connection.call('storage.planDelete', { path: image }).catch(() => null))?.bytes;
    const plugged = onUsb(drive.id) && takesUsbDrives(vm()) && isPlugged(vm(), drive.id);
    const answer = await notices.choose({
      key: plugged ? 'removePlugged' : 'removeDrive',
      params: { drive: text.driveName(drive.id, drive.kind), name },
      danger: true,
      lines: drive.path ? [typeof bytes === 'number' ? `${drive.path} (${formatBytes(bytes)})` : drive.path] : [],
      other: image !== null,
      otherDanger: true,
    });
    if (answer === 'no') return false;
    if (plugged && !(await usb.pullOut(drive.id))) return false;
    try {
      const next = await connection.call('vm.update', { id: vm().id, patch: withoutDrive(config, id) });
      machines.byId.set(next.id, next);
      if (answer === 'other' && image !== null) await connection.call('storage.delete', { path: image });
      if (!plugged) notices.toast({ key: next.runsWith || runsWith ? 'toast.savedNextStart' : 'toast.saved', tone: 'success' });
      return true;
    } catch (error) {
      notices.showError('update', name, error);
      return false;
    }
  }

  async function removeCard(id: string): Promise<boolean> {
    const { config, name, runsWith } = vm();
    if (!config || !(await notices.ask({ key: 'removeCard', params: { n: cardNumber(id), name }, danger: true, lines: [] }))) return false;
    try {
      const next = await connection.call('vm.update', { id: vm().id, patch: withoutCard(config, id) });
      machines.byId.set(next.id, next);
      notices.toast({ key: next.runsWith || runsWith ? 'toast.savedNextStart' : 'toast.saved', tone: 'success' });
      return true;
    } catch (error) {
      notices.showError('update', name, error);
      return false;
    }
  }

  /** The last serial port: the others would get other names in the guest. */
  async function removePort(id: string): Promise<boolean> {
    const { config, name } = vm();
    if (!config) return false;
    if (
      !(await notices.ask({
        key: 'removePort',
        params: { port: text.title({ id, kind: 'serial', fields: [] }), name },
        danger: true,
        lines: [],
      }))
    )
      return false;
    try {
      const next = await connection.call('vm.update', { id: vm().id, patch: { serial: config.serial.slice(0, -1) } });
      machines.byId.set(next.id, next);
      return true;
    } catch (error) {
      notices.showError('update', name, error);
      return false;
    }
  }

  async function removeUsb(): Promise<boolean> {
    const { id, name } = vm();
    if (!(await notices.ask({ key: 'removeUsb', params: { name }, danger: true, lines: [] }))) return false;
    try {
      const next = await connection.call('vm.update', { id, patch: { usb: null } });
      machines.byId.set(next.id, next);
      return true;
    } catch (error) {
      notices.showError('update', name, error);
      return false;
    }
  }

  return { remove, removeCard, removePort, removeUsb };
}
