import { bootSequence } from '../contract/bootsequence.ts';
import type { CpuModel } from '../contract/cpumodels.ts';
import type { DriveId } from '../contract/drives.ts';
import type { HardwareItem, VmConfig } from '../contract/vm.ts';

const places: { [id in DriveId]: string } = {
  ide0: 'IDE primary master',
  ide1: 'IDE primary slave',
  ide2: 'IDE secondary master',
  ide3: 'IDE secondary slave',
  sata0: 'SATA port 0',
  sata1: 'SATA port 1',
  sata2: 'SATA port 2',
  sata3: 'SATA port 3',
  sata4: 'SATA port 4',
  sata5: 'SATA port 5',
  virtio0: 'VirtIO 0',
  virtio1: 'VirtIO 1',
  virtio2: 'VirtIO 2',
  virtio3: 'VirtIO 3',
  virtio4: 'VirtIO 4',
  virtio5: 'VirtIO 5',
  virtio6: 'VirtIO 6',
  virtio7: 'VirtIO 7',
  usb0: 'USB 0',
  usb1: 'USB 1',
  usb2: 'USB 2',
  usb3: 'USB 3',
  fd0: 'Floppy drive A',
  fd1: 'Floppy drive B',
};

const cpuDetails: { [M in CpuModel]: string } = {
  i686: '32-bit: MMX, SSE, SSE2, PAE',
  'x86-64': '64-bit: SSE2',
  'x86-64-v2': '64-bit: SSE4.2, POPCNT, AES',
  'x86-64-v3': '64-bit: AVX2, BMI2, FMA, AES',
};

/** What the machine is made of, for people. */
export function hardwareList(config: VmConfig): HardwareItem[] {
  const { tried } = bootSequence(config.boot.order, [...config.drives, ...config.network]);
  const items: HardwareItem[] = [
    { id: 'machine', kind: 'machine', label: 'PC (i440FX, PIIX3)', detail: 'ACPI, PCI, ISA' },
    { id: 'cpu', kind: 'cpu', label: `1 processor, ${config.cpu.model}`, detail: cpuDetails[config.cpu.model] },
    { id: 'memory', kind: 'memory', label: `${config.memoryMiB} MiB`, detail: 'RAM' },
    {
      id: 'firmware',
      kind: 'firmware',
      label: config.firmware === 'uefi' ? 'UEFI (OVMF)' : 'BIOS (SeaBIOS)',
      detail: config.boot.kernel ? `starts ${config.boot.kernel.path}` : `boots ${tried.map(({ id }) => id).join(', ') || 'nothing'}`,
    },
    {
      id: 'display',
      kind: 'display',
      label: config.display.model === 'virtio' ? 'VirtIO display, also a VGA' : 'VGA with Bochs VBE',
      detail: `${config.display.vramMiB} MiB video memory`,
    },
    { id: 'keyboard', kind: 'input', label: 'PS/2 keyboard', detail: '' },
    { id: 'mouse', kind: 'input', label: 'PS/2 mouse', detail: 'absolute positions where the guest has a VMware mouse driver' },
  ];
  for (const drive of config.drives)
    items.push({
      id: drive.id,
      kind: drive.kind,
      label: `${places[drive.id]}: ${drive.kind === 'cdrom' ? 'CD/DVD drive' : drive.kind === 'floppy' ? 'floppy drive' : 'hard disk'}`,
      detail: drive.path ? `${drive.path}${drive.readOnly ? ' (read-only)' : ''}` : 'empty',
    });
  for (const { id, model, mac, network, connected } of config.network)
    items.push({
      id,
      kind: 'network',
      label: `Network card ${id}: ${model === 'virtio' ? 'VirtIO' : 'Intel 82540EM (e1000)'}`,
      detail: `${mac}, ${network === null ? 'no network' : `network ${network}`}${connected ? '' : ', cable pulled out'}`,
    });
  if (config.usb)
    items.push({
      id: 'usb',
      kind: 'usb',
      label: 'USB 3 controller (xHCI)',
      detail: config.usb.tablet ? 'with a tablet: an exact pointer' : '',
    });
  config.serial.forEach((port, index) => {
    items.push({
      id: `serial${index}`,
      kind: 'serial',
      label: `Serial port COM${index + 1} (16550A)`,
      detail: port.type === 'file' ? `to ${port.path ?? `serial${index}.log`}` : port.type,
    });
  });
  items.push({ id: 'clock', kind: 'clock', label: 'Real-time clock', detail: config.clock === 'utc' ? 'UTC' : 'local time' });
  if (config.paravirt)
    items.push({ id: 'paravirt', kind: 'clock', label: 'Clock for guests that know they are virtual', detail: 'as under KVM' });
  if (config.timekeeping === 'instructions')
    items.push({ id: 'timekeeping', kind: 'clock', label: 'Passage of time', detail: 'by instructions executed: every run is the same' });
  if (config.hpet) items.push({ id: 'hpet', kind: 'clock', label: 'High-precision event timer', detail: '' });
  return items;
}
