import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { CpuModel } from '../../../core/contract/cpumodels.ts';
import type { NetPlace, NicModel } from '../../../core/contract/networks.ts';
import { type Drive, type VmConfig, vmConfigSchema } from '../../../core/contract/vm.ts';
import type { RerunOptions } from '../../../core/vmprocess/machinemessages.ts';
import { VmHost } from '../../../core/vmprocess/vmhost.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));

export interface GuestOptions {
  memoryMiB?: number;
  drives?: Drive[];
  kernel?: { path: string; initrd?: string; cmdline?: string };
  order?: VmConfig['boot']['order'];
  /** Seconds that the boot menu waits; none is offered when absent. */
  menuSeconds?: number;
  hpet?: boolean;
  /** UEFI image instead of SeaBIOS. */
  uefi?: string;
  /** Where its variables are kept; with the guest's own files when absent. */
  nvramFile?: string;
  paravirt?: boolean;
  /** The 32-bit processor when absent. */
  cpu?: CpuModel;
  accel?: 'jit' | 'interp';
  /** Counts instructions for time and sleeps no time at all; with what to record, replay, and when to stop. */
  counted?: RerunOptions;
  /** Stands before its first instruction, for a debugger. */
  startPaused?: boolean;
  /** A VirtIO display instead of the VGA. */
  virtioDisplay?: boolean;
  /** A USB controller. */
  usb?: { tablet: boolean };
  /** `socket`: where its cable leads. */
  network?: { id: NetPlace; model: NicModel; mac: string; socket: string }[];
  /** Goes on from this state file. */
  restore?: string;
}

/** Id of every such machine. */
export const GUEST_ID = '00000000-0000-4000-8000-000000000001';

export const drive = (id: Drive['id'], kind: Drive['kind'], file: string, readOnly = kind === 'cdrom'): Drive => ({
  id,
  kind,
  path: file,
  format: 'raw',
  readOnly,
});

/** HYPERVUE_ACCEL=interp runs all guests in the interpreter. */
const defaultAccel = (): 'jit' | 'interp' => (process.env.HYPERVUE_ACCEL === 'interp' ? 'interp' : 'jit');

/** A real machine in this process, driven as a person would: by keys, by its serial line and by looking at its screen. */
export class Guest {
  readonly vm: VmHost;
  /** Everything the guest sent on COM1. */
  serial = '';
  readonly log: string[] = [];
  private readonly folder: string;

  constructor(options: GuestOptions) {
    this.folder = mkdtempSync(path.join(tmpdir(), 'hypervue-guest-'));
    this.vm = new VmHost({
      start: {
        config: vmConfigSchema.parse({
          schema: 1,
          id: GUEST_ID,
          name: 'guest',
          createdAt: '2026-01-01T00:00:00Z',
          cpu: { accel: options.accel ?? defaultAccel(), ...(options.cpu ? { model: options.cpu } : {}) },
          memoryMiB: options.memoryMiB ?? 64,
          firmware: options.uefi ? 'uefi' : 'bios',
          boot: {
            order: options.order ?? ['cdrom', 'floppy', 'disk'],
            ...(options.menuSeconds === undefined ? {} : { menu: true, menuSeconds: options.menuSeconds }),
            kernel: options.kernel
              ? { path: options.kernel.path, initrd: options.kernel.initrd ?? null, cmdline: options.kernel.cmdline ?? '' }
              : null,
          },
          drives: options.drives ?? [],
          display: { model: options.virtioDisplay ? 'virtio' : 'vga' },
          network: (options.network ?? []).map(({ id, model, mac }) => ({ id, model, mac, network: 'default' })),
          usb: options.usb ?? null,
          serial: [{ type: 'console' }, { type: 'none' }],
          hpet: options.hpet ?? false,
          paravirt: options.paravirt ?? true,
          timekeeping: options.counted ? 'instructions' : 'host',
        }),
        folder: this.folder,
        firmwareFolder: path.join(root, 'resources/firmware'),
        cpuWasmPath: path.join(root, 'out/wasm/cpu.wasm'),
        channelSocket: '',
        cables: Object.fromEntries((options.network ?? []).map(({ id, socket }) => [id, socket])),
        ...(options.uefi ? { uefiImage: options.uefi } : {}),
        ...(options.nvramFile ? { nvramFile: options.nvramFile } : {}),
        ...(options.restore ? { restore: { file: options.restore, consume: false } } : {}),
      },
      machineThread: new URL('../../../core/vmprocess/machinethread.ts', import.meta.url),
      debugExit: true,
      ...(options.counted ? { rerun: options.counted, unpaced: true } : {}),
      startPaused: options.startPaused ?? false,
    });
    this.vm.onLog.on(({ level, scope, message }) => this.log.push(`${level} ${scope}: ${message}`));
  }

  async start(): Promise<this> {
    await this.vm.start();
    this.vm.serial[0]!.onOutput = (bytes) => {
      this.serial += Buffer.from(bytes).toString('latin1');
    };
    return this;
  }

  /** The text screen without trailing blanks; empty in graphics modes. */
  screen(): string {
    return (
      this.vm
        .screenText()
        ?.rows.map((row) => row.trimEnd())
        .join('\n') ?? ''
    );
  }

  /** Polls until `probe` gives something true; a timeout shows what the guest showed last. */
  async until<T>(what: string, probe: () => T, timeoutMs: number): Promise<T> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const value = probe();
      if (value) return value;
      if (Date.now() > deadline)
        throw new Error(
          `${what} did not happen within ${timeoutMs / 1000} s (state ${this.vm.state})\n--- screen\n${this.screen()}\n--- serial\n${this.serial.slice(-1500)}\n--- log\n${this.log.slice(-10).join('\n')}`,
        );
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  onScreen(pattern: RegExp, timeoutMs = 60_000): Promise<RegExpExecArray> {
    return this.until(`${pattern} on the screen`, () => pattern.exec(this.screen())!, timeoutMs);
  }

  onSerial(pattern: RegExp, timeoutMs = 60_000): Promise<RegExpExecArray> {
    return this.until(`${pattern} on the serial line`, () => pattern.exec(this.serial)!, timeoutMs);
  }

  /** Sends a line on COM1 and waits for the pattern in what comes after. */
  async ask(line: string, pattern: RegExp, timeoutMs = 30_000): Promise<RegExpExecArray> {
    const from = this.serial.length;
    this.vm.serial[0]!.receive(Buffer.from(`${line}\n`));
    return this.until(`${pattern} after ${line}`, () => pattern.exec(this.serial.slice(from))!, timeoutMs);
  }

  /** Turns the machine off, if it still runs, and removes its folder. */
  async end(): Promise<void> {
    if (this.vm.state === 'running' || this.vm.state === 'paused' || this.vm.state === 'stopping') await this.vm.forceOff();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
