/** Bridges that are made of an uplink: planned, tried for some seconds, and kept or taken back. */
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { type BridgePlan, type BridgeTrial, deviceNameSchema, type Uplink } from '../../../contract/networks.ts';
import { HypervueError } from '../../../util/errors.ts';
import { plain, say } from '../../../util/say.ts';
import { bridgeNotes, planBridge } from './bridgeplan.ts';
import type { HostNetworkDevices } from './hostnetworkdevices.ts';
import { type HostInterface, type HostRoute, readRoutes } from './interfaces.ts';
import type { TrialFiles } from './runner.ts';
import { type Change, commandTexts } from './steps.ts';
import { type FileReader, isUplink, refusalOf, uplinksOf } from './uplinks.ts';

const LOOK_MS = 100;
/** Somebody may have to type a password before it begins. */
const BEGIN_MS = 180_000;
/** From a word to what it comes to: it is looked for each second, on a computer that may be busy. */
const ANSWER_MS = 30_000;
/** A trial counts its seconds on a computer that may have been busy, or asleep. */
const OVERDUE_MS = 600_000;
/** From one look of whether a trial is over to the next. */
const WATCH_MS = 500;

const keptSchema = z.object({
  uplink: deviceNameSchema,
  bridge: deviceNameSchema,
  undo: z.array(z.string()),
  seconds: z.number(),
  pid: z.number().int(),
  /** When it was made, in milliseconds since 1970; null until then. */
  appliedAt: z.number().nullable(),
});
type Kept = z.infer<typeof keptSchema>;

export interface BridgeWizardParts {
  devices: Pick<HostNetworkDevices, 'runner' | 'interfaces'>;
  /** Private folder of this user: what is said to the process that watches over a trial is said there, so that another program of theirs can say it, too. */
  runtimeFolder: string;
  read: FileReader;
  /** A trial began, or is over. */
  changed(): void;
}

export class BridgeWizard {
  private readonly parts: BridgeWizardParts;
  private readonly folder: string;
  private readonly files: TrialFiles;
  private watching: NodeJS.Timeout | undefined;

  constructor(parts: BridgeWizardParts) {
    this.parts = parts;
    this.folder = path.join(parts.runtimeFolder, 'bridge-trial');
    const at = (name: string) => path.join(this.folder, name);
    this.files = { keep: at('keep'), drop: at('drop'), log: at('log'), errors: at('errors') };
  }

  async uplinks(): Promise<Uplink[]> {
    if (this.parts.devices.runner.missing()) return [];
    const [interfaces, routes] = await this.look();
    return uplinksOf(interfaces, routes, this.parts.read);
  }

  /** Rejects with what is wrong with uplink or name. */
  async plan(uplink: string, bridge?: string): Promise<BridgePlan> {
    const { name, change, found, routes } = await this.prepare(uplink, bridge);
    return {
      uplink,
      bridge: name,
      rights: this.parts.devices.runner.rights(),
      commands: commandTexts(change),
      undo: commandTexts({ steps: change.undo }),
      notes: bridgeNotes(found, name, routes, this.parts.read).map(({ said }) => said),
    };
  }

  async apply(uplink: string, bridge: string, seconds: number): Promise<BridgeTrial> {
    const { runner } = this.parts.devices;
    if (runner.rights() === 'none')
      throw new HypervueError('permission-denied', say('trialRights'), { object: uplink }, say('fixTrialRights', { device: uplink }));
    const before = await this.trial();
    if (before)
      throw new HypervueError('in-use', say('trialThere', { bridge: before.bridge }), { object: before.bridge }, say('fixTrialThere'));
    const { change } = await this.prepare(uplink, bridge);
    await rm(this.folder, { recursive: true, force: true });
    await mkdir(this.folder, { recursive: true, mode: 0o700 });
    const pid = await runner.begin(change, this.files, seconds);
    const kept = { uplink, bridge, undo: commandTexts({ steps: change.undo }), seconds, pid, appliedAt: null };
    // Another program may take it over from here on.
    await this.keepInMind(kept);
    const words = await this.until(['applied', 'undone', 'failed'], pid, BEGIN_MS);
    if (words.at(-1) !== 'applied') throw await this.failed(bridge, words);
    await this.keepInMind({ ...kept, appliedAt: Date.now() });
    this.watch();
    this.parts.changed();
    const trial = await this.trial();
    if (!trial) throw this.over(bridge);
    return trial;
  }

  /** The trial under way; null for none. */
  async trial(): Promise<BridgeTrial | null> {
    const kept = await this.inMind();
    if (!kept) return null;
    const words = await this.words();
    if (isOver(words)) return null;
    const { uplink, bridge, undo, seconds, pid, appliedAt } = kept;
    const leftMs = Math.max(0, Math.round((appliedAt ?? Date.now()) + seconds * 1000 - Date.now()));
    const trial = { uplink, bridge, undo, leftMs };
    // Long after its time another process may have its number.
    const overdue = appliedAt !== null && Date.now() > appliedAt + seconds * 1000 + OVERDUE_MS;
    if (alive(pid) && !overdue) {
      this.watch();
      return { ...trial, state: 'on' };
    }
    // It may have said its last word meanwhile. One that was stopped with all of the computer left nothing behind.
    if (isOver(await this.words()) || !(await this.has(bridge))) return null;
    return { ...trial, state: 'lost', leftMs: 0 };
  }

  async keep(): Promise<void> {
    const { bridge, pid } = await this.open();
    await writeFile(this.files.keep, '');
    const words = await this.until(['kept', 'undone'], pid, ANSWER_MS);
    this.parts.changed();
    if (words.at(-1) !== 'kept') throw this.over(bridge);
  }

  async undo(): Promise<void> {
    const { bridge, pid } = await this.open();
    await writeFile(this.files.drop, '');
    const words = await this.until(['kept', 'undone'], pid, ANSWER_MS);
    this.parts.changed();
    if (!isOver(words)) throw new HypervueError('timeout', say('trialSilent', { bridge }), { object: bridge });
  }

  close(): void {
    clearTimeout(this.watching);
  }

  private over(bridge: string): HypervueError {
    return new HypervueError('timeout', say('trialOver', { bridge }), { object: bridge }, say('fixTrialOver'));
  }

  private async failed(bridge: string, words: readonly string[]): Promise<HypervueError> {
    const said = (await readFile(this.files.errors, 'utf8').catch(() => '')).trim().split('\n').slice(0, 3).join(' ');
    if (words.length === 0 && said === '')
      return new HypervueError('permission-denied', say('hostNotAllowed'), { object: bridge }, say('fixHostNotAllowed'));
    return new HypervueError('io-error', say('trialFailed', { bridge, words: plain(said) }), { object: bridge }, say('fixTrialFailed'));
  }

  /** The trial under way. Rejects with 'not-found' without one. */
  private async open(): Promise<Kept> {
    const kept = await this.inMind();
    if (!kept) throw new HypervueError('not-found', say('trialNone'), {});
    const words = await this.words();
    if (words.at(-1) === 'kept') throw new HypervueError('not-found', say('trialNone'), {});
    if (isOver(words) || !alive(kept.pid)) throw this.over(kept.bridge);
    return kept;
  }

  private async look(): Promise<[HostInterface[], HostRoute[]]> {
    const { devices } = this.parts;
    const routes = async (family: 4 | 6) =>
      readRoutes(await devices.runner.ip(['-json', `-${family}`, 'route', 'show', 'table', 'all']), family);
    const [interfaces, four, six] = await Promise.all([devices.interfaces(), routes(4), routes(6)]);
    return [interfaces, [...four, ...six]];
  }

  private async prepare(
    uplink: string,
    wanted?: string,
  ): Promise<{ name: string; change: Change; found: HostInterface; routes: HostRoute[] }> {
    const missing = this.parts.devices.runner.missing();
    if (missing) throw new HypervueError('unsupported', missing.reason, { object: uplink }, missing.fix);
    const [interfaces, routes] = await this.look();
    const found = interfaces.find((each) => each.name === uplink && isUplink(each));
    if (!found) throw new HypervueError('not-found', say('uplinkGone', { device: uplink }), { object: uplink }, say('fixUplinkGone'));
    const why = refusalOf(found, routes, this.parts.read);
    if (why)
      throw new HypervueError('unsupported', say('uplinkRefused', { device: uplink, why }), { object: uplink }, say('fixUplinkGone'));
    const taken = (name: string) => interfaces.some((each) => each.name === name);
    const name = wanted ?? freeName(taken);
    if (taken(name))
      throw new HypervueError(
        'already-exists',
        say('bridgeTaken', { bridge: name }),
        { object: name, field: 'bridge' },
        say('fixBridgeTaken'),
      );
    return { name, change: planBridge(found, name, routes), found, routes };
  }

  private async has(bridge: string): Promise<boolean> {
    return (await this.parts.devices.interfaces()).some(({ name }) => name === bridge);
  }

  private async words(): Promise<string[]> {
    return (await readFile(this.files.log, 'utf8').catch(() => '')).split('\n').filter(Boolean);
  }

  /** What was said once one of `wanted` was, the process is gone, or time is up. */
  private async until(wanted: readonly string[], pid: number, ms: number): Promise<string[]> {
    for (const end = performance.now() + ms; ; ) {
      // A process that is gone has said all before.
      const there = alive(pid);
      const words = await this.words();
      if (!there || words.some((word) => wanted.includes(word)) || performance.now() > end) return words;
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  private get memory(): string {
    return path.join(this.folder, 'trial.json');
  }

  private async keepInMind(kept: Kept): Promise<void> {
    await writeFile(`${this.memory}.new`, JSON.stringify(kept), { mode: 0o600 });
    await rename(`${this.memory}.new`, this.memory);
  }

  private async inMind(): Promise<Kept | undefined> {
    const text = await readFile(this.memory, 'utf8').catch(() => undefined);
    if (text === undefined) return undefined;
    try {
      return keptSchema.parse(JSON.parse(text));
    } catch {
      return undefined;
    }
  }

  /** Tells once a trial is over. */
  private watch(): void {
    if (this.watching) return;
    this.watching = setTimeout(async () => {
      this.watching = undefined;
      // Looks again by itself while there is one.
      if ((await this.trial().catch(() => null))?.state !== 'on') this.parts.changed();
    }, WATCH_MS);
    this.watching.unref();
  }
}

const isOver = (words: readonly string[]): boolean => ['kept', 'undone', 'failed'].includes(words.at(-1) ?? '');

function freeName(taken: (name: string) => boolean): string {
  for (let number = 0; ; number++) if (!taken(`br${number}`)) return `br${number}`;
}

/** Whether there is such a process; one of root's, too. */
function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
