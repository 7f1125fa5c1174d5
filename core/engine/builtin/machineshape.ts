import type { VmConfig } from '../../contract/vm.ts';
import type { MachineShape } from '../../snapshot/machinestate.ts';

/** What of a machine's configuration has to be the same for its saved state to fit. */
export function machineShape(config: VmConfig): MachineShape {
  return {
    processor: config.cpu.model,
    'memory (MiB)': config.memoryMiB,
    'video memory (MiB)': config.display.vramMiB,
    // Named only where it is not the usual one: states of before know no other.
    ...(config.display.model === 'vga' ? {} : { display: config.display.model }),
    ...(config.network.length ? { 'network cards': config.network.map(({ id, model }) => `${id} ${model}`).join(', ') } : {}),
    ...(config.usb ? { 'USB controller': config.usb.tablet ? 'with a tablet' : 'there' } : {}),
    firmware: config.firmware,
    drives: config.drives.map(({ id, kind }) => `${id} ${kind}`).join(', ') || 'none',
    disks:
      config.drives
        .filter(({ kind }) => kind === 'disk')
        .map(({ id, readOnly }) => `${id} ${readOnly ? 'read-only' : 'writable'}`)
        .join(', ') || 'none',
    'serial ports': config.serial.length,
    HPET: config.hpet,
    'help for guests under KVM': config.paravirt,
    time: config.timekeeping,
  };
}
