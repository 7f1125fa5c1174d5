import type { Operation } from './operationwords.ts';
import path from 'node:path';
import type { NetworkCard } from '../contract/networks.ts';
import type { Drive, VmConfig, VmPatch } from '../contract/vm.ts';
import { HypervueError } from '../util/errors.ts';
import { say, type Saying } from '../util/say.ts';
import { ConfigKeeper } from './configkeeper.ts';
import { checkConfig } from './configrules.ts';
import { withCablesOf } from './machinecables.ts';
import { settledCards, withPresentMacs } from './macs.ts';
import { hardwareDiffers, withHardwareOf } from './hardware/pending.ts';
import { withFormats } from './machinedrives.ts';
import type { MachineSelf } from './machineself.ts';
import { fitsSaved } from './savedstate.ts';

/** What a machine is made of: its vm.json, and while it is on what it was started with. */
export class MachineConfig {
  readonly file: ConfigKeeper;
  /** What the machine under way was started with, and what was changed in it since. */
  startedWith: VmConfig | undefined;
  private readonly machine: MachineSelf;

  constructor(machine: MachineSelf, config: VmConfig | null) {
    this.machine = machine;
    this.file = new ConfigKeeper(machine.id, config, machine);
  }

  /** Hardware of the file that the machine under way does not have yet. */
  get pending(): boolean {
    return this.startedWith !== undefined && this.file.config !== null && hardwareDiffers(this.startedWith, this.file.config);
  }

  /** What the file says. Throws when it can't be used. */
  usable(operation: string): VmConfig {
    const { name, problem } = this.machine;
    if (!this.file.config) throw problem ?? new HypervueError('corrupt', say('cantUse', { name }), { object: name, operation });
    return this.file.config;
  }

  /** What the machine is made of now: what it was started with while it is on, else its file. Throws when that can't be used. */
  present(operation: string): VmConfig {
    return this.startedWith ?? this.usable(operation);
  }

  /** Changes the configuration. What is not about names or cables applies at the next start; discs and policies of a running machine change through their own verbs. Rejects with 'not-found' for a network that is none. */
  async update(patch: VmPatch & { template?: boolean }): Promise<void> {
    const drives = patch.drives && (await withFormats(this.usable('update'), patch.drives, this.machine.folder));
    const { network, ...rest } = patch;
    const { newMac, networks } = this.machine.parts;
    const had = this.file.config?.network.map((card) => card.network);
    for (const card of network ?? []) if (card.network !== null && !had?.includes(card.network)) networks.look(card.network);
    await this.replace((now) => ({
      ...now,
      ...rest,
      ...(drives ? { drives } : {}),
      ...(network ? { network: settledCards(network, now.network, newMac) } : {}),
    }));
  }

  /** The same for the whole file. `before` comes right before the file is written, and what it throws keeps it from that. */
  async replace(change: (now: VmConfig) => VmConfig, before: () => Promise<void> = async () => {}): Promise<void> {
    await this.save(async (now) => {
      const next = change(now);
      checkConfig(next);
      this.refuseTakenMacs(now, next);
      if (this.machine.state === 'saved' && !fitsSaved(now, next))
        throw this.machine.wrongState('change the hardware', say('nowSavedUnfit'), say('fixSavedFirst'));
      await before();
      return next;
    });
    this.machine.changed();
  }

  /** Takes back what the file says about the next start: it is again what the machine under way has. */
  async revertPending(): Promise<void> {
    const { startedWith, machine } = this;
    if (!this.pending || !startedWith) throw machine.wrongState('revert changes', say('nowNoPending'));
    await this.save((now) => withHardwareOf(now, startedWith));
    machine.record('info', 'manager', 'changes for its next start were taken back');
    machine.changed();
  }

  /** The hardware of an earlier configuration; what the machine is called and about stays. */
  async revert(then: VmConfig): Promise<void> {
    await this.save((now) => {
      // What it is called, where it is shown and the addresses of its cards are no part of the machine of then.
      const { id, name, description, createdAt, tags, group, autostart } = now;
      const network = withPresentMacs(then.network, now.network);
      return { ...then, id, name, description, createdAt, tags, group, autostart, network };
    });
    // One that was reverted while it is on is what the file says now.
    if (this.startedWith && this.file.config) this.startedWith = this.file.config;
    this.machine.changed();
  }

  /** Throws 'already-exists' for an address that a card is to have now and another machine's card has. */
  private refuseTakenMacs(now: VmConfig, next: VmConfig): void {
    for (const { id, mac } of next.network) {
      if (now.network.some((card) => card.mac === mac)) continue;
      const holder = this.machine.parts.macOwner(mac, this.machine.id);
      if (holder !== undefined)
        throw new HypervueError(
          'already-exists',
          say('macTaken', { card: id, mac, name: holder }),
          { object: id, holder },
          say('fixMacTaken'),
        );
    }
  }

  /** A state fits only the hardware that it was saved with. Throws 'invalid-state'. */
  refusePending(operation: Operation, fix: Saying): void {
    const { startedWith, file } = this;
    if (startedWith && file.config && !fitsSaved(startedWith, file.config))
      throw this.machine.wrongState(operation, say('nowPendingUnfit'), fix);
  }

  /** A change of one drive that holds at once, for what runs and for the file, unless the file has another drive in that place by now. */
  async saveDrive({ id, kind }: Drive, change: (config: VmConfig) => VmConfig): Promise<void> {
    this.nowWith(change);
    await this.save((now) => (now.drives.some((drive) => drive.id === id && drive.kind === kind) ? change(now) : now));
  }

  /** The machine under way is another one now, as its vm.json says already or still. */
  nowWith(change: (now: VmConfig) => VmConfig): void {
    if (this.startedWith) this.startedWith = change(this.startedWith);
  }

  private async save(change: (now: VmConfig) => VmConfig | Promise<VmConfig>): Promise<void> {
    await this.file.save((now) => {
      this.usable('update');
      return change(now);
    });
    if (!this.startedWith || !this.file.config) return;
    this.startedWith = withCablesOf(this.startedWith, this.file.config);
    await this.machine.moveCables();
  }

  /** Drives of its file, and those that it still has while it is on. */
  usedDrives(): Drive[] {
    const drives = this.file.config?.drives ?? [];
    const gone = (this.startedWith?.drives ?? []).filter((had) => !drives.some((drive) => drive.path === had.path));
    return [...drives, ...gone];
  }

  /** Network cards of its file, and those that it still has while it is on. */
  usedCards(): NetworkCard[] {
    return [...(this.file.config?.network ?? []), ...(this.startedWith?.network ?? [])];
  }

  /** Absolute paths of its images. */
  images(): string[] {
    const { folder } = this.machine;
    return (this.file.config?.drives ?? []).flatMap((drive) => (drive.path === null ? [] : [path.resolve(folder, drive.path)]));
  }

  /** Absolute paths of the images that lie in its own folder and go where that goes. */
  imagesInFolder(): string[] {
    return this.images().filter((file) => file.startsWith(this.machine.folder + path.sep));
  }
}
