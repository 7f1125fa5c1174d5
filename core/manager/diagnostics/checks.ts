/** The checks of the diagnostics page and of `hypervue doctor`. */
import { loadavg } from 'node:os';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { type Diagnostic, type DiagnosticId, diagnosticIds } from '../../contract/diagnostics.ts';
import type { Firmware } from '../../platform/firmware.ts';
import { freeBytes, hostFacts } from '../../platform/hostinfo.ts';
import { chosenLibraryFile } from '../../platform/chosenlibrary.ts';
import { clockSource, folderState, kvmState, mendFolder, portFree, programVersion } from '../../platform/hostprobes.ts';
import { NodeNetwork } from '../../platform/nethost.ts';
import { asHypervueError, HypervueError } from '../../util/errors.ts';
import { plain, say, type Saying } from '../../util/say.ts';
import type { ManagerContext, ManagerOptions } from '../context.ts';
import { SystemRunner } from '../networks/host/runner.ts';
import { tryLauncher } from '../networks/networkprocess.ts';
import { engineName } from '../preflight.ts';
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
const found = (state: Diagnostic['state'], message: Saying, how?: Saying, fixable = false): Found => ({
  state,
  message: message.text,
  said: message.said,
  ...(how ? { how: how.text, saidHow: how.said } : {}),
  fixable,
});
const ok = (message: Saying) => found('ok', message);
const info = (message: Saying, how?: Saying) => found('info', message, how);
const warning = (message: Saying, how: Saying) => found('warning', message, how);
const failure = (message: Saying, how: Saying, fixable = false) => found('error', message, how, fixable);

/** One that was chosen and is away is not made: its machines would seem to be gone. */
async function libraryFolder({ library, libraryFrom, configFolder }: ManagerOptions): Promise<Found> {
  if (libraryFrom === 'chosen' && ['missing', 'no-parent'].includes((await folderState(library)).state))
    return failure(say('libraryAway', { folder: library }), say('fixLibraryAway', { file: chosenLibraryFile(configFolder) }));
  return folder(library, say('useMachines'));
}

async function folder(at: string, use: Saying): Promise<Found> {
  const { state, why } = await folderState(at);
  const words = { path: at, use };
  switch (state) {
    case 'ok':
      return ok(plain(at));
    case 'missing':
      return found('info', say('folderMissing', words), say('howFolderMissing'), true);
    case 'no-parent':
      return failure(say('folderNoParent', words), say('howFolderNoParent'));
    case 'not-a-folder':
      return failure(say('folderIsFile', words), say('howFolderIsFile'));
    case 'foreign':
      return failure(say('folderForeign', { ...words, code: why }), say('howFolderForeign', { path: at }));
    default:
      return failure(
        say('folderUnwritable', { ...words, code: why }),
        why === 'EROFS' ? say('howMountWritable') : why === 'ENOSPC' ? say('howFull') : say('howAllow', { path: at }),
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

const sayingOf = (error: HypervueError): Saying => {
  const saying = error.saying();
  return typeof saying === 'string' ? plain(saying) : saying;
};

const part = (name: string, { reason }: Firmware): Saying => say('partMissing', { part: name, reason });

/** Every check looks for itself. */
export function checksOf(context: Diagnosed): Record<DiagnosticId, () => Promise<Found>> {
  const { options } = context;
  return {
    runtime: async () => {
      const { node, electron } = process.versions;
      const text = plain(`${electron ? `Electron ${electron}, ` : ''}Node.js ${node}, ${process.platform} ${process.arch}`);
      return Number(node.split('.')[0]) >= LEAST_NODE ? ok(text) : failure(text, say('howNode', { version: LEAST_NODE }));
    },
    engine: async () => {
      const { available, reason } = await options.engine.capabilities();
      const engine = engineName(options.engine);
      return available ? ok(engine) : failure(say('engineBad', { engine, reason }), say('howInstallAgain'));
    },
    wasm: async () => {
      const missing = wasmFeatures();
      return missing.length
        ? failure(say('wasmMissing', { features: missing.join(', ') }), say('howWasm', { version: LEAST_NODE }))
        : ok(say('wasmGood'));
    },
    firmware: async () => {
      const firmware = options.firmware();
      return firmware.available ? ok(firmware.reason) : failure(part('SeaBIOS', firmware), firmware.fix ?? say('fixSeabios'));
    },
    uefi: async () => {
      const uefi = options.uefi();
      return uefi.available ? ok(uefi.reason) : warning(uefi.reason, uefi.fix ?? say('fixOvmf'));
    },
    library: () => libraryFolder(options),
    config: () => folder(options.configFolder, say('useSettings')),
    locks: () => folder(options.lockFolder, say('useLocks')),
    space: async () => {
      const free = await freeBytes(options.library);
      const text = say('diskSpace', { freeBytes: free, folder: options.library });
      if (free < LEAST_SPACE) return failure(text, say('howSpaceLow'));
      return free < GOOD_SPACE ? warning(text, say('howSpaceSome')) : ok(text);
    },
    memory: async () => {
      const { freeMemoryBytes, memoryBytes } = hostFacts();
      const text = say('memoryFree', { freeBytes: freeMemoryBytes, totalBytes: memoryBytes });
      return freeMemoryBytes < LEAST_MEMORY ? warning(text, say('howMemory')) : ok(text);
    },
    load: async () => {
      const { cpuCount, cpuModel } = hostFacts();
      const [load = 0] = loadavg();
      const text = say('processorLoad', { count: cpuCount, model: cpuModel, load: load.toFixed(1) });
      return load > cpuCount * HIGH_LOAD ? warning(text, say('howLoad')) : ok(text);
    },
    clock: async () => {
      const now = new Date();
      const source = clockSource();
      const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
      const text = source
        ? say('clockFrom', { time: now.toISOString(), zone, source })
        : say('clockPlain', { time: now.toISOString(), zone });
      const wrong = now.getFullYear() < PLAUSIBLE_YEAR || (await newestFile(context)) > now.getTime() + CLOCK_SLACK_MS;
      if (wrong) return failure(say('clockWrong', { clock: text }), say('howClockWrong'));
      return source === 'acpi_pm' || source === 'hpet' ? warning(text, say('howClockSlow')) : ok(text);
    },
    kvm: async () => {
      if (process.platform !== 'linux') return info(say('kvmElsewhere'));
      const kvm = kvmState();
      if (kvm === 'usable') return info(say('kvmUsable'));
      return kvm === 'no-rights' ? info(say('kvmForbidden'), say('howKvmForbidden')) : info(say('kvmMissing'), say('howKvmMissing'));
    },
    qemuImg: async () => {
      const version = await programVersion('qemu-img');
      return version === null ? info(say('qemuImgMissing'), say('howQemuImg')) : info(plain(version));
    },
    port: async () => {
      const words = { port: USUAL_PORT };
      if (await portFree(USUAL_PORT)) return ok(say('portFree', words));
      return info(say(options.mode === 'headless' ? 'portTakenHere' : 'portTaken', words), say('howPort', words));
    },
    networks: async () => {
      const problem = await tryLauncher(options.networkLauncher);
      if (problem) return failure(sayingOf(problem), say('howLog'));
      const servers = new NodeNetwork().resolvers().map(({ address }) => address);
      return servers.length
        ? ok(say('networksGood', { servers: servers.join(', ') }))
        : warning(say('networksNoNames'), say('howNameServers'));
    },
    hostNetworks: async () => {
      const runner = options.hostRunner ?? new SystemRunner();
      const missing = runner.missing();
      if (missing) return info(missing.reason, missing.fix);
      const rights = { have: say('hostNetworksHave'), ask: say('hostNetworksAsk'), none: say('hostNetworksCommands') };
      return ok(rights[runner.rights()]);
    },
    systems: async () => {
      const table = options.systems?.table;
      return table ? ok(say('systemsKnown', { known: table.systems.length })) : warning(say('systemsMissing'), say('howSystems'));
    },
    sample: async () => {
      const there = await stat(options.sampleImage).then(
        ({ size }) => size > 0,
        () => false,
      );
      return there ? ok(plain(options.sampleImage)) : info(say('sampleMissing'), say('fixSample'));
    },
  };
}

export async function diagnose(context: Diagnosed, ids: readonly DiagnosticId[] = diagnosticIds): Promise<Diagnostic[]> {
  const checks = checksOf(context);
  return Promise.all(
    ids.map(async (id): Promise<Diagnostic> => {
      const seen = await checks[id]().catch((error): Found => failure(plain(asHypervueError(error).message), say('howLog')));
      return { fixable: false, ...seen, id };
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
    throw Object.assign(new HypervueError('unsupported', say('noFixHere'), { object: id, operation: 'fix' }, before!.how), {
      saidFix: before!.saidHow,
    });
  await mendFolder(place);
  return (await diagnose(context, [id]))[0]!;
}
