/** The checks of the diagnostics page and of `hypervue doctor`. */
import { loadavg } from 'node:os';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { type Diagnostic, type DiagnosticId, diagnosticIds } from '../../contract/diagnostics.ts';
import { freeBytes, hostFacts } from '../../platform/hostinfo.ts';
import { clockSource, folderState, kvmState, mendFolder, portFree, programVersion } from '../../platform/hostprobes.ts';
import { readableBytes } from '../../util/bytes.ts';
import { asHypervueError, HypervueError } from '../../util/errors.ts';
import type { ManagerContext, ManagerOptions } from '../context.ts';
import { CONFIG_FILE } from '../vmconfigfile.ts';

const GIB = 1024 ** 3;
const MIB = 1024 ** 2;
const LEAST_NODE = 24;
/** A machine with a small system on it. */
const LEAST_SPACE = 1 * GIB;
const GOOD_SPACE = 10 * GIB;
const LEAST_MEMORY = 256 * MIB;
/** Waiting programs for each processor, over the last minute. */
const HIGH_LOAD = 2;
/** Of `hypervue serve`. */
const USUAL_PORT = 6880;
/** Files may be a little ahead of the clock, on network disks. */
const CLOCK_SLACK_MS = 5 * 60_000;
const PLAUSIBLE_YEAR = 2025;
/** A function with one vector operation: invalid where V8 has no SIMD. */
const SIMD_MODULE = Uint8Array.of(
  0,
  97,
  115,
  109,
  1,
  0,
  0,
  0,
  1,
  5,
  1,
  96,
  0,
  1,
  123,
  3,
  2,
  1,
  0,
  10,
  10,
  1,
  8,
  0,
  65,
  0,
  253,
  15,
  253,
  98,
  11,
);

/** What the checks look at: also that of a library which can't be opened. */
export interface Diagnosed {
  options: ManagerOptions;
  machines: Pick<ManagerContext['machines'], 'all'>;
}

type Found = Omit<Diagnostic, 'id' | 'fixable'> & { fixable?: boolean };
const ok = (message: string): Found => ({ state: 'ok', message });
const info = (message: string, how?: string): Found => ({ state: 'info', message, ...(how ? { how } : {}) });
const warning = (message: string, how: string): Found => ({ state: 'warning', message, how });
const failure = (message: string, how: string, fixable = false): Found => ({ state: 'error', message, how, fixable });

async function folder(at: string, use: string): Promise<Found> {
  const { state, why } = await folderState(at);
  switch (state) {
    case 'ok':
      return ok(at);
    case 'missing':
      return { ...info(`${at}, for ${use}, is not there yet`, 'It is made when it is needed, or now.'), fixable: true };
    case 'no-parent':
      return failure(`${at}, for ${use}, is not there and can't be made`, 'Make the folder, or choose another place.');
    case 'not-a-folder':
      return failure(`${at}, for ${use}, is a file`, 'Move the file away.');
    case 'foreign':
      return failure(`${at}, for ${use}, belongs to another user (${why})`, `Give it to this user: sudo chown -R "$USER" "${at}"`);
    default:
      return failure(
        `nothing can be written to ${at}, for ${use} (${why})`,
        why === 'EROFS'
          ? 'Its file system is read-only: mount it for writing.'
          : why === 'ENOSPC'
            ? 'Its file system is full: make room.'
            : `Allow it: chmod u+rwx "${at}"`,
        why === 'EACCES' || why === 'EPERM',
      );
  }
}

/** The newest time of a machine's file: a clock before that is wrong. */
async function newestFile({ machines }: Diagnosed): Promise<number> {
  const times = await Promise.all(
    machines.all().map(async (machine) => (await stat(path.join(machine.folder, CONFIG_FILE)).catch(() => ({ mtimeMs: 0 }))).mtimeMs),
  );
  return Math.max(0, ...times);
}

function wasmFeatures(): string[] {
  const missing: string[] = [];
  if (!(WebAssembly as unknown as { validate(bytes: Uint8Array): boolean }).validate(SIMD_MODULE)) missing.push('vectors (SIMD)');
  try {
    if (!(new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true }).buffer instanceof SharedArrayBuffer))
      missing.push('shared memory');
  } catch {
    missing.push('shared memory');
  }
  try {
    // Machines of 3 GiB with what lies beside their memory.
    new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true });
  } catch {
    missing.push('memories of 4 GiB');
  }
  return missing;
}

const installed = (part: ReturnType<ManagerOptions['firmware']>, what: string): Found =>
  part.available ? ok(part.reason) : failure(`${what}: ${part.reason}`, part.fix ?? 'Install it.');

/** Every check looks for itself. */
export function checksOf(context: Diagnosed): Record<DiagnosticId, () => Promise<Found>> {
  const { options } = context;
  return {
    runtime: async () => {
      const { node, electron } = process.versions;
      const text = `${electron ? `Electron ${electron}, ` : ''}Node.js ${node}, ${process.platform} ${process.arch}`;
      return Number(node.split('.')[0]) >= LEAST_NODE ? ok(text) : failure(text, `Use Node.js ${LEAST_NODE} or newer.`);
    },
    engine: async () => {
      const { available, reason } = await options.engine.capabilities();
      return available ? ok(`${options.engine.name}: ${reason}`) : failure(`${options.engine.name}: ${reason}`, 'Install Hypervue again.');
    },
    wasm: async () => {
      const missing = wasmFeatures();
      return missing.length
        ? failure(`WebAssembly is without ${missing.join(', ')}`, `Use Node.js ${LEAST_NODE} or newer, or the desktop app.`)
        : ok('vectors, threads, memories of 4 GiB');
    },
    firmware: async () => installed(options.firmware(), 'SeaBIOS'),
    uefi: async () => {
      const uefi = options.uefi();
      return uefi.available ? ok(uefi.reason) : warning(`OVMF: ${uefi.reason}`, uefi.fix ?? 'Install OVMF.');
    },
    library: () => folder(options.library, 'machines'),
    config: () => folder(options.configFolder, 'settings'),
    locks: () => folder(options.lockFolder, 'locks'),
    space: async () => {
      const free = await freeBytes(options.library);
      const text = `${readableBytes(free)} free for machines in ${options.library}`;
      if (free < LEAST_SPACE) return failure(text, 'Make room, empty the trash, or put the library on another disk.');
      return free < GOOD_SPACE ? warning(text, 'Make room, empty the trash, or compact disks.') : ok(text);
    },
    memory: async () => {
      const { freeMemoryBytes, memoryBytes } = hostFacts();
      const text = `${readableBytes(freeMemoryBytes)} free of ${readableBytes(memoryBytes)}`;
      return freeMemoryBytes < LEAST_MEMORY ? warning(text, 'Close programs, or save the state of machines.') : ok(text);
    },
    load: async () => {
      const { cpuCount, cpuModel } = hostFacts();
      const [load = 0] = loadavg();
      const text = `${cpuCount} × ${cpuModel}, load ${load.toFixed(1)}`;
      return load > cpuCount * HIGH_LOAD ? warning(text, 'Much else runs on this computer: machines are slower meanwhile.') : ok(text);
    },
    clock: async () => {
      const now = new Date();
      const source = clockSource();
      const text = `${now.toISOString()}, ${Intl.DateTimeFormat().resolvedOptions().timeZone}${source ? `, from ${source}` : ''}`;
      const wrong = now.getFullYear() < PLAUSIBLE_YEAR || (await newestFile(context)) > now.getTime() + CLOCK_SLACK_MS;
      if (wrong) return failure(`${text}: files of machines are newer`, 'Set the clock of this computer: timedatectl set-ntp true');
      return source === 'acpi_pm' || source === 'hpet'
        ? warning(text, 'This clock is slow to read, which slows machines down. See the kernel log for why the TSC is not used.')
        : ok(text);
    },
    kvm: async () => {
      if (process.platform !== 'linux') return info('only Linux has it; the built-in engine does without');
      const kvm = kvmState();
      if (kvm === 'usable') return info('/dev/kvm is there; the built-in engine does without');
      return kvm === 'no-rights'
        ? info(
            '/dev/kvm is there, but not for this user; the built-in engine does without',
            'sudo usermod -aG kvm "$USER", and log in again.',
          )
        : info(
            'there is no /dev/kvm; the built-in engine does without',
            'Other programs need it: turn virtualization on in the firmware, or nest it.',
          );
    },
    qemuImg: async () => {
      const version = await programVersion('qemu-img');
      return version === null
        ? info(
            'qemu-img is not installed; Hypervue reads and writes disk images itself',
            'For work on images with other tools: apt-get install qemu-utils',
          )
        : info(version);
    },
    port: async () => {
      if (await portFree(USUAL_PORT)) return ok(`${USUAL_PORT} on 127.0.0.1 is free for \`hypervue serve\``);
      const self = options.mode === 'headless';
      return info(
        `${USUAL_PORT} on 127.0.0.1 is taken${self ? ', maybe by this server' : ''}; \`hypervue serve\` then takes a free one`,
        'To see by whom: ss -ltnp "sport = :6880"',
      );
    },
    systems: async () => {
      const table = options.systems?.table;
      return table
        ? ok(`${table.systems.length} operating systems are known`)
        : warning('the table of operating systems was not built', 'Run the set-up again: node scripts/setup.mjs');
    },
    sample: async () => {
      const there = await stat(options.sampleImage).then(
        ({ size }) => size > 0,
        () => false,
      );
      return there ? ok(options.sampleImage) : info('the check image was not built', 'Install nasm and start Hypervue again.');
    },
  };
}

export async function diagnose(context: Diagnosed, ids: readonly DiagnosticId[] = diagnosticIds): Promise<Diagnostic[]> {
  const checks = checksOf(context);
  return Promise.all(
    ids.map(async (id): Promise<Diagnostic> => {
      const found = await checks[id]().catch((error): Found => failure(asHypervueError(error).message, 'Look into the log.'));
      return { fixable: false, ...found, id };
    }),
  );
}

/** Mends a folder. Rejects with 'unsupported' where nothing can be done from here. */
export async function fix(context: Diagnosed, id: DiagnosticId): Promise<Diagnostic> {
  const { options } = context;
  const places: Partial<Record<DiagnosticId, string>> = {
    library: options.library,
    config: options.configFolder,
    locks: options.lockFolder,
  };
  const place = places[id];
  const [before] = await diagnose(context, [id]);
  if (before!.state === 'ok') return before!;
  if (place === undefined || !before!.fixable)
    throw new HypervueError('unsupported', 'this can’t be mended from here', { object: id, operation: 'fix' }, before!.how);
  await mendFolder(place);
  return (await diagnose(context, [id]))[0]!;
}
