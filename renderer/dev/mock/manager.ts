import { mockAccess } from './access.ts';
import { mockProfile } from './profile.ts';
import { machineMetrics } from '../../../core/contract/history.ts';
import type { ErrorDto } from '../../../core/contract/errors.ts';
import { type Settings, settingsSchema } from '../../../core/contract/host.ts';
import type { EventName, EventPayload } from '../../../core/contract/methods.ts';
import type { ContractServer, Handlers } from '../../../core/contract/server.ts';
import type { Drive, LogEntry, VmStateName, VmSummary } from '../../../core/contract/vm.ts';
import { MockError } from './error.ts';
import { mockHardware } from './hardware.ts';
import { mockHost, mockSeries } from './host.ts';
import { mockLibrary } from './library.ts';
import { MockConsole } from './console.ts';
import { mockNetworks } from './networks.ts';
import { mockSnapshots } from './snapshots.ts';
import { mockStorage } from './storage.ts';
import { drawScreen, pngOf } from './screen.ts';

export interface MockOptions {
  machines: number;
  theme: string;
  language: string;
}

const examples: [string, string, VmStateName, number][] = [
  ['Debian 12 live', 'Debian GNU/Linux 12', 'running', 1024],
  ['Windows 95', 'Windows 95', 'running', 64],
  ['FreeDOS 1.3', 'FreeDOS 1.3', 'off', 32],
  ['GRUB rescue', 'GRUB', 'paused', 128],
  ['memtest86+', 'Memtest86+', 'crashed', 256],
  ['Slackware 15 with a rather long name that does not fit', 'Slackware 15', 'off', 512],
];

/** Invented machines that obey the verbs. */
export class MockManager {
  private readonly vms = new Map<string, VmSummary>();
  private readonly trash = new Map<string, VmSummary>();
  private servers: ContractServer[] = [];
  private settings: Settings;
  readonly console = new MockConsole((event, payload) => this.emit(event, payload));

  constructor(options: MockOptions) {
    this.settings = {
      ...settingsSchema.parse({}),
      theme: options.theme as Settings['theme'],
      language: options.language as Settings['language'],
      welcomed: true,
      automaticSnapshots: true,
      whenQuitting: 'ask',
      notifications: true,
    };
    for (let i = 0; i < options.machines; i++) {
      const [name, os, state, mib] = examples[i % examples.length]!;
      this.vms.set(...this.make(i < examples.length ? name : `${name} ${i}`, os, state, mib, i));
    }
    setInterval(() => this.tick(), 2000);
  }

  attach(server: ContractServer): void {
    this.servers.push(server);
  }

  toError(error: unknown): ErrorDto {
    return error instanceof MockError ? error.dto : { kind: 'internal', message: String(error), context: {} };
  }

  screenOf(id: string): HTMLCanvasElement {
    return drawScreen([...this.vms.keys()].indexOf(id));
  }

  private make(name: string, os: string, state: VmStateName, memoryMiB: number, i: number): [string, VmSummary] {
    const id = `00000000-0000-4000-8000-${String(i).padStart(12, '0')}`;
    const live = state === 'running' || state === 'paused';
    return [
      id,
      {
        id,
        name,
        state,
        folder: `/home/user/Hypervue/${name}`,
        saved: state === 'saved' ? { at: '2026-11-20T18:00:00.000Z', bytes: 61_000_000 } : null,
        problem:
          state === 'crashed'
            ? {
                kind: 'vm-crashed',
                message: 'the guest caused a triple fault at 0010:c0104a3e',
                context: { object: name, exitCode: 1 },
                fix: 'Start the machine again; look into its log for what happened before.',
              }
            : null,
        config: {
          schema: 1,
          id,
          name,
          description: i === 0 ? 'For the build of the installer images.' : '',
          createdAt: '2026-11-20T10:00:00.000Z',
          os,
          engine: 'builtin',
          machine: 'pc',
          cpu: { model: 'i686', count: 1, accel: 'jit' },
          memoryMiB,
          firmware: 'bios',
          boot: { order: ['cdrom', 'disk'], menu: false, kernel: null },
          drives: [
            { id: 'ide0', kind: 'disk', path: 'disk.img', format: 'raw', readOnly: false },
            {
              id: 'ide2',
              kind: 'cdrom',
              path: i % 2 === 0 ? '/srv/images/debian-12.5.0-i386-netinst.iso' : null,
              format: 'raw',
              readOnly: true,
            },
          ],
          display: { model: 'vga', vramMiB: 16, listen: null },
          network:
            i % 2 === 0
              ? [
                  {
                    id: 'net0',
                    model: 'e1000',
                    mac: `52:54:00:00:00:${(i % 256).toString(16).padStart(2, '0')}`,
                    network: 'default',
                    connected: true,
                  },
                ]
              : [],
          serial: [{ type: 'console' }, { type: 'none' }],
          clock: 'utc',
          debug: { gdb: null, wait: false },
          timekeeping: 'host',
          usb: null,
          hpet: false,
          paravirt: true,
          template: false,
          tags: i % 6 === 0 ? ['production', 'lab'] : i % 6 === 3 ? ['lab'] : [],
          group: i % 6 === 1 ? 'servers' : '',
          autostart: null,
        },
        runsWith: null,
        stats: live ? this.stats(i) : null,
        thumbnailVersion: i % 6 === 2 ? 0 : 1,
        startedAt: i % 6 === 2 ? null : '2026-11-21T03:30:00.000Z',
        display: live
          ? { width: drawScreen(i).width, height: drawScreen(i).height, text: i % 3 === 0, absolutePointer: true, resizable: false }
          : null,
      },
    ];
  }

  private stats(seed: number) {
    return {
      cpu: 0.2 + Math.random() * 0.5,
      instructionsPerSecond: 4e7 + Math.random() * 3e7,
      diskReadBytes: 123_456_789 + seed,
      diskWriteBytes: 4_567_890,
      netReceiveBytes: 98_765_432 + seed,
      netSendBytes: 1_234_567,
      residentBytes: 345_000_000,
      uptimeSeconds: Math.floor(Date.now() / 1000) % 100_000,
      viewers: 1,
      deviceCalls: 1_234_567,
      frames: 4321,
    };
  }

  private emit<E extends EventName>(event: E, payload: EventPayload<E>): void {
    for (const server of this.servers) server.emit(event, payload);
  }

  private tick(): void {
    let i = 0;
    for (const vm of this.vms.values()) {
      if (vm.state !== 'running') continue;
      const stats = this.stats(i++);
      this.put({ ...vm, stats });
      this.emit('vm.sampled', { id: vm.id, stats });
    }
  }

  private put(vm: VmSummary): VmSummary {
    this.vms.set(vm.id, vm);
    this.emit('vm.changed', vm);
    return vm;
  }

  private get(id: string): VmSummary {
    const vm = this.vms.get(id);
    if (!vm) throw new MockError({ kind: 'not-found', message: 'there is no such machine', context: { object: id } });
    return vm;
  }

  /** Drives that a machine which is on has now. */
  private carry(id: string, change: (drives: Drive[], file: Drive[]) => Drive[]): VmSummary {
    const vm = this.get(id);
    const [now, file] = [vm.runsWith ?? vm.config!, vm.config!];
    const runsWith = { ...now, drives: change(now.drives, file.drives) };
    return this.put({ ...vm, runsWith: runsWith.drives.length === file.drives.length ? null : runsWith });
  }

  private become(id: string, state: VmStateName): VmSummary {
    const vm = this.get(id);
    const live = state === 'running' || state === 'paused';
    const screen = this.screenOf(id);
    return this.put({
      ...vm,
      state,
      saved: state === 'saved' ? { at: new Date().toISOString(), bytes: 61_000_000 } : null,
      problem: null,
      stats: live ? this.stats(0) : null,
      thumbnailVersion: vm.thumbnailVersion + 1,
      display: live ? { width: screen.width, height: screen.height, text: false, absolutePointer: true, resizable: false } : null,
    });
  }

  private task(kind: string, object: string): void {
    const base = {
      id: crypto.randomUUID(),
      kind,
      object,
      detail: '',
      rate: null,
      remainingSeconds: null,
      startedAt: new Date().toISOString(),
      finishedAt: null,
      error: null,
      undo: [],
    };
    let progress = 0;
    const timer = setInterval(() => {
      progress += 0.1;
      const done = progress >= 1;
      if (done) clearInterval(timer);
      this.emit('task.changed', {
        ...base,
        state: done ? 'done' : 'running',
        progress: Math.min(1, progress),
        finishedAt: done ? new Date().toISOString() : null,
      });
    }, 400);
  }

  readonly handlers: Handlers = {
    ...mockAccess(() => this.emit('access.changed', {})),
    ...mockHost(() => this.vms.size),
    'vm.history': async () => ({ stepSeconds: 1, endsAt: new Date().toISOString(), series: mockSeries(machineMetrics) }),
    'settings.get': async () => this.settings,
    'settings.set': async (patch) => {
      this.settings = { ...this.settings, ...patch };
      this.emit('settings.changed', this.settings);
      return this.settings;
    },
    'vm.list': async () => [...this.vms.values()],
    'vm.get': async ({ id }) => this.get(id),
    'vm.suggestName': async ({ hint }) => hint || 'Machine 1',
    'vm.planDisks': async ({ newDisk }) => (newDisk ? [{ id: 'virtio0', path: '/machines/New/disk.qcow2', made: true }] : []),
    'vm.preflight': async (spec) => [
      { id: 'media', ok: true, severity: 'error', message: 'The file can be read.' },
      {
        id: 'memory',
        ok: spec.memoryMiB < 2048,
        severity: 'warning',
        message: 'There is enough free memory.',
        fix: 'Give the machine less memory.',
      },
      { id: 'space', ok: true, severity: 'error', message: '84 GiB are free for a disk of 20 GiB.' },
      { id: 'name', ok: !spec.name.includes('bad'), severity: 'error', message: 'The name is free.', fix: 'Choose another name.' },
      { id: 'firmware', ok: true, severity: 'error', message: 'SeaBIOS 1.16.2 was found.' },
    ],
    'vm.check': async ({ ids }) => ids.map((id) => ({ id, name: this.get(id).name, checks: [], error: null })),
    'vm.create': async (spec) => {
      if (spec.name.includes('full'))
        throw new MockError({
          kind: 'no-space',
          message: 'the disk of this host is full',
          context: { path: '/home/user/Hypervue', operation: 'vm.create' },
          fix: 'Free some space or make the new disk smaller.',
        });
      this.task('vm.create', spec.name);
      const [, vm] = this.make(spec.name, spec.os ?? '', 'off', spec.memoryMiB, this.vms.size + 100);
      return this.put({ ...vm, thumbnailVersion: 0, startedAt: null });
    },
    'vm.update': async ({ id, patch }) => {
      const vm = this.get(id);
      const network = patch.network?.map((card) => ({ ...card, mac: card.mac ?? '52:54:00:ab:cd:ef' }));
      const config = vm.config && { ...vm.config, ...patch, network: network ?? vm.config.network };
      return this.put({ ...vm, name: patch.name ?? vm.name, config });
    },
    ...mockHardware(
      (id) => this.get(id),
      (vm) => this.put(vm),
    ),
    'vm.planDelete': async ({ id }) => {
      const { folder, config } = this.get(id);
      const keeps = (config?.drives ?? []).flatMap(({ path }) => (path?.startsWith('/') ? [path] : []));
      return { folder, bytes: 4.2 * 2 ** 30, snapshots: 0, keeps, refusal: null };
    },
    'vm.delete': async ({ id }) => {
      const vm = this.get(id);
      this.vms.delete(id);
      this.trash.set(id, vm);
      this.emit('vm.removed', { id });
      return { trashId: id };
    },
    'vm.restore': async ({ trashId }) => this.put(this.trash.get(trashId)!),
    'vm.resetFirmware': async () => ({ keptAs: 'nvram.2026-11-21T12-00-00-000Z' }),
    'vm.hardware': async ({ id }) => [
      { id: 'machine', kind: 'machine', label: 'Machine', detail: 'PC with i440FX and PIIX3' },
      { id: 'cpu', kind: 'cpu', label: 'Processor', detail: '1 × i686 (SSE2)' },
      { id: 'memory', kind: 'memory', label: 'Memory', detail: `${this.get(id).config?.memoryMiB} MiB` },
      { id: 'display', kind: 'display', label: 'Display', detail: 'VGA with Bochs VBE, 16 MiB' },
      { id: 'ide0', kind: 'disk', label: 'IDE disk', detail: 'disk.img, 20 GiB' },
      { id: 'ide2', kind: 'cdrom', label: 'CD/DVD drive', detail: 'debian-12.5.0-i386-netinst.iso' },
      { id: 'kbd', kind: 'keyboard', label: 'Keyboard and mouse', detail: '8042, PS/2, absolute pointer' },
      { id: 'pit', kind: 'timer', label: 'Timer', detail: '8254' },
    ],
    'vm.log': async () => {
      const levels: LogEntry['level'][] = ['info', 'debug', 'guest', 'warn', 'error'];
      return Array.from({ length: 60 }, (_, i) => ({
        time: new Date(Date.UTC(2026, 10, 21, 3, 30, i)).toISOString(),
        level: levels[i % 9 < 5 ? i % 9 : 0]!,
        scope: ['machine', 'ide', 'vga', 'rfb', 'pic'][i % 5]!,
        message: [
          'the guest wrote 0x20 to port 0xa0',
          'mode set: 720x400 text',
          'viewer connected, ZRLE',
          'reset (port 0x64)',
          'read of sector 123456 took 210 ms',
        ][i % 5]!,
      }));
    },
    'vm.stats': async ({ id }) => (this.get(id).state === 'running' ? this.stats(0) : null),
    'vm.start': async ({ id }) => {
      if (this.get(id).name.startsWith('Slackware'))
        throw new MockError({
          kind: 'in-use',
          message: 'disk.img is in use by the machine “Debian 12 live”',
          context: { path: '/srv/images/disk.img', operation: 'vm.start', object: 'Debian 12 live' },
          fix: 'Shut that machine down, or give this one a copy of the disk.',
        });
      this.become(id, 'starting');
      await new Promise((done) => setTimeout(done, 300));
      return this.become(id, 'running');
    },
    'vm.pause': async ({ id }) => this.become(id, 'paused'),
    'vm.resume': async ({ id }) => this.become(id, 'running'),
    'vm.shutdown': async ({ id }) => {
      setTimeout(() => this.become(id, 'off'), 1500);
      return this.become(id, 'stopping');
    },
    'vm.restart': async ({ id }) => this.get(id),
    'vm.reset': async ({ id }) => this.become(id, 'running'),
    'vm.saveState': async ({ id }) => this.become(id, 'saved'),
    'vm.discardState': async ({ id }) => this.become(id, 'off'),
    'vm.forceOff': async ({ id }) => this.become(id, 'off'),
    'vm.screenshot': async ({ id }) => {
      const screen = this.screenOf(id);
      return { width: screen.width, height: screen.height, png: pngOf(screen) };
    },
    'vm.thumbnail': async ({ id }) => {
      const vm = this.get(id);
      return { version: vm.thumbnailVersion, png: vm.thumbnailVersion === 0 ? null : pngOf(this.screenOf(id)) };
    },
    ...this.console.handlers,
    'vm.openGdb': async ({ address }) => ({
      command: `target remote ${address.type === 'tcp' ? `127.0.0.1:${address.port}` : address.path}`,
    }),
    'vm.closeGdb': async () => null,
    'vm.profile': async () => mockProfile(),
    'vm.changeMedium': async ({ id, drive, path }) => {
      const vm = this.get(id);
      return this.put({
        ...vm,
        config: vm.config && { ...vm.config, drives: vm.config.drives.map((each) => (each.id === drive ? { ...each, path } : each)) },
      });
    },
    'vm.setDrivePolicy': async ({ id, drive, policy }) => {
      const vm = this.get(id);
      const drives = vm.config?.drives.map((each) => (each.id === drive ? { ...each, ...policy } : each));
      return this.put({ ...vm, config: vm.config && { ...vm.config, drives: drives ?? [] } });
    },
    'vm.growDisk': async ({ id }) => this.get(id),
    'vm.plugDrive': async ({ id, drive }) => this.carry(id, (drives, file) => [...drives, ...file.filter((each) => each.id === drive)]),
    'vm.unplugDrive': async ({ id, drive }) => this.carry(id, (drives) => drives.filter((each) => each.id !== drive)),
    'vm.usb.attach': async ({ id }) => this.get(id),
    'vm.usb.detach': async ({ id }) => this.get(id),
    'vm.usb.list': async () => [],
    'vm.clone': async ({ id, name }) => {
      this.task('vm.clone', name);
      const vm = this.get(id);
      const [, made] = this.make(name, vm.config?.os ?? '', 'off', vm.config?.memoryMiB ?? 64, this.vms.size + 100);
      return this.put({ ...made, thumbnailVersion: 0, startedAt: null });
    },
    'vm.setTemplate': async ({ id, template }) => {
      const vm = this.get(id);
      return this.put({ ...vm, config: vm.config && { ...vm.config, template } });
    },
    'vm.inspectFolder': async ({ folder }) => ({
      name: folder.split('/').at(-1)!,
      os: 'Debian GNU/Linux 12',
      memoryMiB: 512,
      sizeBytes: 2 * 1024 ** 3,
      outsideDisks: [],
      withDisks: null,
      checks: [{ id: 'space', ok: true, severity: 'info', message: 'It takes 2 GiB; 84 GiB are free in the library' }],
    }),
    'vm.import': async ({ folder }) => {
      const [, vm] = this.make(folder.split('/').at(-1)!, '', 'off', 512, this.vms.size + 100);
      return { machine: this.put(vm), notes: ['ide2: /other/some.iso is not here; the drive is empty'] };
    },
    'vm.export': async ({ id, folder }) => ({ folder: `${folder}/${this.get(id).name}`, notes: [] }),
    'vm.importOva': async ({ file }) => {
      const [, vm] = this.make(
        file
          .split('/')
          .at(-1)!
          .replace(/\.ov[af]$/, ''),
        '',
        'off',
        512,
        this.vms.size + 100,
      );
      return { machine: this.put(vm), notes: [] };
    },
    'vm.exportOva': async ({ file }) => ({ file, notes: [] }),
    ...mockLibrary({
      all: () => [...this.vms.values()],
      put: (vm) => this.put(vm),
      emit: (event, payload) => this.emit(event, payload),
      verbs: () => this.handlers,
      failure: (error) => ({ kind: 'internal', message: error instanceof Error ? error.message : String(error), context: {} }),
    }),
    ...mockSnapshots(
      (id) => this.get(id),
      (id, state) => this.become(id, state),
      (event, payload) => this.emit(event, payload),
    ),
    ...mockNetworks(
      () => [...this.vms.values()],
      (event, payload) => this.emit(event, payload),
      (dto) => new MockError(dto),
    ),
    ...mockStorage(
      (event, payload) => this.emit(event, payload),
      (kind, object) => this.task(kind, object),
      (dto) => new MockError(dto),
    ),
    'task.list': async () => [],
    'task.cancel': async () => null,
    'task.cancelOwn': async () => ({ cancelled: 0 }),
    'task.clear': async () => null,
  };
}
