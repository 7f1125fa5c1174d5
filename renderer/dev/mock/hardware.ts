import type { Handlers } from '../../../core/contract/server.ts';
import type { hardwareMethods } from '../../../core/contract/hardware.ts';
import type { VmConfig, VmSummary } from '../../../core/contract/vm.ts';

/** vm.json as text, additions and explanations of invented machines. */
export function mockHardware(
  get: (id: string) => VmSummary,
  put: (vm: VmSummary) => VmSummary,
): Pick<Handlers, keyof typeof hardwareMethods> {
  return {
    'vm.explain': async ({ id }) => ({
      program: 'qemu-system-x86_64',
      options: [
        { words: ['-machine', 'pc,hpet=off'], note: 'A PC with the i440FX and PIIX3 chips' },
        { words: ['-m', `${get(id).config?.memoryMiB}M`], note: 'Memory' },
      ],
      remarks: ['QEMU emulates with TCG here.'],
      command: `qemu-system-x86_64 \\\n  -machine pc,hpet=off \\\n  -m ${get(id).config?.memoryMiB}M`,
    }),
    'vm.configText': async ({ id }) => ({
      text: `${JSON.stringify(get(id).config, null, 2)}\n`,
      path: `${get(id).folder}/vm.json`,
      backups: [{ name: 'vm.json.2026-11-20T12-00-00-000Z', at: '2026-11-20T12:00:00.000Z' }],
    }),
    'vm.setConfigText': async ({ id, text }) => ({
      machine: put({ ...get(id), config: JSON.parse(text) as VmConfig }),
      keptAs: 'vm.json.2026-11-21T12-00-00-000Z',
    }),
    'vm.addDisk': async ({ id, bus, format }) => {
      const vm = get(id);
      const drive = `${bus}1` as 'ide1';
      const added = { id: drive, kind: 'disk' as const, path: `disk2.${format}`, format, readOnly: false };
      return { machine: put({ ...vm, config: vm.config && { ...vm.config, drives: [...vm.config.drives, added] } }), drive };
    },
    'vm.giveDevice': async ({ id, device, bus, readOnly }) => {
      const vm = get(id);
      const drive = `${bus ?? 'sata'}1` as 'sata1';
      const added = { id: drive, kind: 'disk' as const, path: device, format: 'raw' as const, readOnly };
      return { machine: put({ ...vm, config: vm.config && { ...vm.config, drives: [...vm.config.drives, added] } }), drive };
    },
    'vm.revertPending': async ({ id }) => {
      const vm = get(id);
      return put({ ...vm, config: vm.runsWith ?? vm.config, runsWith: null });
    },
  };
}
