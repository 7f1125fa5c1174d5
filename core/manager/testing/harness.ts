import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ContractClient, ContractError } from '../../contract/client.ts';
import type { EventName, MethodName, Params, Result } from '../../contract/methods.ts';
import type { Transport } from '../../contract/transport.ts';
import type { VmConfig, VmCreate, VmStateName, VmSummary } from '../../contract/vm.ts';
import { events } from '../../contract/methods.ts';
import { BuiltinEngine, type EngineLimits } from '../../engine/builtin/builtinengine.ts';
import { ChildProcessLauncher, networkProcessEntry } from '../../platform/childlauncher.ts';
import type { Firmware } from '../../platform/firmware.ts';
import { createLogger } from '../../util/logger.ts';
import { Manager } from '../manager.ts';
import type { HostRunner } from '../networks/host/runner.ts';
import { TestRunner } from '../networks/host/testing/testrunner.ts';
import { dosFloppy, rawImage } from './media.ts';
import { plain } from '../../util/say.ts';

const FAKE_VM = fileURLToPath(new URL('../../engine/builtin/testing/fakevmprocess.ts', import.meta.url));
/** Long enough for a computer that does much else; nobody waits for it while all is well. */
export const PATIENCE_MS = 25_000;

/** Both ends of a line in memory, with copies and a later turn, as a real one has. */
export function memoryLine(): [Transport, Transport] {
  let open = true;
  const closers: (() => void)[] = [];
  const inboxes: [((message: unknown) => void)[], ((message: unknown) => void)[]] = [[], []];
  const end = (own: 0 | 1): Transport => ({
    send: (message) => {
      const copy = structuredClone(message);
      setImmediate(() => {
        if (open) for (const listener of inboxes[own === 0 ? 1 : 0]) listener(copy);
      });
    },
    onMessage: (listener) => inboxes[own].push(listener),
    onClose: (listener) => closers.push(listener),
    close: () => {
      if (!open) return;
      open = false;
      for (const listener of closers) listener();
    },
  });
  return [end(0), end(1)];
}

/** A client of the contract that remembers the events it got. */
export class TestClient extends ContractClient {
  readonly seen: { event: EventName; payload: never }[] = [];

  constructor(transport: Transport) {
    super(transport);
    for (const event of Object.keys(events) as EventName[])
      this.on(event, (payload) => this.seen.push({ event, payload: payload as never }));
  }

  /** The states that a machine was told to have, repeats left out. */
  states(id: string): VmStateName[] {
    return this.seen
      .filter(({ event }) => event === 'vm.changed')
      .map(({ payload }) => payload as VmSummary)
      .filter((summary) => summary.id === id)
      .map(({ state }) => state)
      .filter((state, index, all) => state !== all[index - 1]);
  }
}

export async function failureOf(promise: Promise<unknown>): Promise<ContractError> {
  const error = await promise.then(
    (value) => new Error(`it should have failed and gave ${JSON.stringify(value)}`),
    (reason) => reason,
  );
  if (!(error instanceof ContractError)) throw error;
  return error;
}

/** Polls, so that a busy computer only makes it slower. */
export async function eventually<T>(look: () => T | Promise<T>, wanted: (value: T) => boolean): Promise<T> {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const value = await look();
    if (wanted(value)) return value;
    if (Date.now() > end) throw new Error(`it never came to be; last: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export interface HarnessOptions {
  library?: string;
  limits?: Partial<EngineLimits>;
  changeLibrary?: (folder: string) => Promise<void>;
}

/** A manager over the folders below `root`, whose machines are fake VM processes. */
export function openTestManager(
  root: string,
  options: {
    library: string;
    limits?: Partial<EngineLimits>;
    firmware?: () => Firmware;
    uefi?: () => Firmware;
    log?: (line: string) => void;
    changeLibrary?: HarnessOptions['changeLibrary'];
    hostRunner?: HostRunner;
  },
): Promise<Manager> {
  const firmware = options.firmware ?? (() => ({ available: true, folder: '/firmware', reason: plain('there') }));
  return Manager.open({
    library: options.library,
    changeLibrary: options.changeLibrary,
    configFolder: path.join(root, 'config'),
    lockFolder: path.join(root, 'locks'),
    engine: new BuiltinEngine({
      launcher: new ChildProcessLauncher(FAKE_VM),
      firmwareFolder: () => firmware().folder,
      cpuWasmPath: '/none.wasm',
      runtimeFolder: path.join(root, 'run'),
      limits: options.limits ?? {},
    }),
    networkLauncher: new ChildProcessLauncher(networkProcessEntry(import.meta.url)),
    hostRunner: options.hostRunner ?? new TestRunner(),
    runtimeFolder: path.join(root, 'run'),
    firmware,
    uefi: options.uefi ?? (() => ({ available: true, folder: '/firmware', reason: plain('there') })),
    sampleImage: path.join(root, 'check.img'),
    version: '0.0.0',
    mode: 'headless',
    log: createLogger((level, _scope, message) => options.log?.(`${level}: ${message}`)),
  });
}

/** A manager over a library of its own, whose machines are fake VM processes, with one client. */
export class Harness {
  readonly root = mkdtempSync(path.join(tmpdir(), 'hv-mgr-'));
  readonly library: string;
  readonly media = path.join(this.root, 'media');
  readonly sampleImage = path.join(this.root, 'check.img');
  readonly logged: string[] = [];
  firmware: Firmware = { available: true, folder: '/firmware', reason: plain('there') };
  /** This computer's interfaces, as far as the manager sees. */
  readonly hostRunner = new TestRunner();
  uefi: Firmware = { available: true, folder: '/firmware', reason: plain('there') };
  manager!: Manager;
  client!: TestClient;
  private readonly limits: Partial<EngineLimits>;
  private readonly changeLibrary: HarnessOptions['changeLibrary'];
  private readonly others: Manager[] = [];

  private constructor({ library, limits, changeLibrary }: HarnessOptions) {
    this.changeLibrary = changeLibrary;
    this.library = library ?? path.join(this.root, 'machines');
    this.limits = limits ?? {};
    mkdirSync(this.media);
    writeFileSync(this.sampleImage, dosFloppy());
  }

  static async open(options: HarnessOptions = {}): Promise<Harness> {
    const harness = new Harness(options);
    await harness.reopen();
    return harness;
  }

  /** Another manager over the same folders, as a second program would be. */
  async another(): Promise<{ manager: Manager; client: TestClient }> {
    const manager = await openTestManager(this.root, {
      library: this.library,
      limits: this.limits,
      changeLibrary: this.changeLibrary,
      firmware: () => this.firmware,
      uefi: () => this.uefi,
      log: (line) => this.logged.push(line),
      hostRunner: this.hostRunner,
    });
    this.others.push(manager);
    return { manager, client: this.connect(manager) };
  }

  /** Ends the manager and opens the library anew. */
  async reopen(): Promise<void> {
    await this.manager?.close();
    ({ manager: this.manager, client: this.client } = await this.another());
  }

  connect(manager = this.manager): TestClient {
    const [mine, theirs] = memoryLine();
    manager.connect(theirs);
    return new TestClient(mine);
  }

  async close(): Promise<void> {
    for (const manager of this.others) await manager.close();
    rmSync(this.root, { recursive: true, force: true });
  }

  call<M extends MethodName>(method: M, params: Params<M>): Promise<Result<M>> {
    return this.client.call(method, params);
  }

  /** Writes a medium; returns its path. */
  medium(name: string, bytes: Uint8Array = rawImage(1024 * 1024)): string {
    const file = path.join(this.media, name);
    writeFileSync(file, bytes);
    return file;
  }

  create(name: string, changes: Partial<Params<'vm.create'>> = {}): Promise<VmSummary> {
    return this.call('vm.create', { name, memoryMiB: 32, source: { type: 'blank' }, newDisk: null, ...changes });
  }

  /** A machine that the fake VM process treats as `cmdline` says. */
  async fake(name: string, cmdline = '', changes: Partial<VmConfig> = {}): Promise<VmSummary> {
    const made = await this.create(name);
    const kernel = path.join(this.media, 'kernel');
    writeFileSync(kernel, 'a kernel');
    return this.call('vm.update', {
      id: made.id,
      patch: { boot: { order: ['disk'], menu: false, kernel: { path: kernel, initrd: null, cmdline } }, ...(changes as object) },
    });
  }

  get(id: string): Promise<VmSummary> {
    return this.call('vm.get', { id });
  }

  /** Resolves once a machine has `state`. */
  reaches(id: string, state: VmStateName): Promise<VmSummary> {
    return eventually(
      () => this.get(id),
      (summary) => summary.state === state,
    );
  }

  preflight(name: string, source: VmCreate['source'], changes: Partial<VmCreate> = {}): Promise<Result<'vm.preflight'>> {
    return this.call('vm.preflight', { name, memoryMiB: 32, source, newDisk: null, ...changes });
  }

  config(folder: string): VmConfig {
    return JSON.parse(readFileSync(path.join(folder, 'vm.json'), 'utf8'));
  }

  /** Names in the library, hidden ones too. */
  names(): string[] {
    return readdirSync(this.library).sort();
  }

  lockFiles(): string[] {
    try {
      return readdirSync(path.join(this.root, 'locks'));
    } catch {
      return [];
    }
  }
}
