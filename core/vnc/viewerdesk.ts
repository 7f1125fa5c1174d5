import type { Viewer, Viewers, ViewingAction } from '../contract/console.ts';
import { Emitter } from '../util/emitter.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';

export interface ViewerIdentity {
  name: string;
  origin: Viewer['origin'];
  /** Says later what this viewer wants; nobody can for one without. */
  key?: string;
  /** Begins without keyboard and mouse. */
  looking?: boolean;
  /** Records the picture. */
  recording?: boolean;
  /** Is allowed to look and nothing else. */
  limited?: boolean;
}

/** What one viewer may do. */
export interface Seat {
  readonly id: string;
  /** Its keyboard and mouse reach the guest. */
  readonly control: boolean;
  leave(): void;
}

interface Entry {
  id: string;
  identity: ViewerIdentity;
  since: string;
  looking: boolean;
  asking: boolean;
  refused: boolean;
}

/** Who looks at a machine and who may use it: everybody who wants to, or one alone until that one shares or goes. */
export class ViewerDesk {
  readonly onChange = new Emitter<null>();
  private readonly entries = new Map<string, Entry>();
  private readonly machine: string;
  private holder: Entry | undefined;
  private next = 1;

  /** `machine` is the name for messages. */
  constructor(machine: string) {
    this.machine = machine;
  }

  join(identity: ViewerIdentity): Seat {
    const entry: Entry = {
      id: `v${this.next++}`,
      identity,
      since: new Date().toISOString(),
      looking: identity.looking === true || identity.limited === true,
      asking: false,
      refused: false,
    };
    this.entries.set(entry.id, entry);
    this.onChange.emit(null);
    const controls = () => this.controls(entry);
    return {
      id: entry.id,
      get control() {
        return controls();
      },
      leave: () => {
        if (!this.entries.delete(entry.id)) return;
        if (this.holder === entry) this.release();
        this.onChange.emit(null);
      },
    };
  }

  list(): Viewers {
    return {
      viewers: [...this.entries.values()].map((entry) => ({
        id: entry.id,
        name: entry.identity.name,
        origin: entry.identity.origin,
        control: this.controls(entry),
        looking: entry.looking,
        limited: entry.identity.limited === true,
        asking: entry.asking,
        refused: entry.refused,
        recording: entry.identity.recording === true,
        since: entry.since,
      })),
      holder: this.holder?.id ?? null,
    };
  }

  /** Id of the viewer with this key; of several (a window that connects again before the old connection has ended) the newest. */
  idOf(key: string): string | null {
    return this.find(key)?.id ?? null;
  }

  /** Throws 'not-found', 'permission-denied' or 'invalid-state'. */
  act(key: string, action: ViewingAction, viewer?: string): void {
    const entry = this.find(key);
    if (!entry)
      throw new HypervueError(
        'not-found',
        say('notThisConsole', { name: this.machine }),
        { object: this.machine },
        say('fixOpenConsoleAgain'),
      );
    if (entry.identity.limited && action !== 'look')
      throw new HypervueError(
        'permission-denied',
        say('onlyLook', { name: this.machine }),
        { object: this.machine, operation: action },
        say('fixOnlyLook'),
      );
    entry.refused = false;
    if (action === 'look' || action === 'withdraw') {
      entry.asking = false;
      if (action === 'look') {
        entry.looking = true;
        if (this.holder === entry) this.release();
      }
    } else if (action === 'ask') {
      if (this.holder && this.holder !== entry) entry.asking = true;
      entry.looking = false;
    } else if (action === 'allow' || action === 'refuse') this.answer(entry, action === 'allow', viewer);
    else if (this.holder && this.holder !== entry) throw this.held();
    else {
      entry.looking = false;
      if (action === 'hold') this.holder = entry;
      else this.release();
    }
    this.onChange.emit(null);
  }

  private answer(entry: Entry, allow: boolean, viewer: string | undefined): void {
    if (this.holder !== entry) throw this.held();
    const asker = viewer === undefined ? undefined : this.entries.get(viewer);
    if (!asker?.asking) throw new HypervueError('not-found', say('nobodyWaits'), { object: this.machine, viewer: viewer ?? '' });
    asker.asking = false;
    if (allow) this.release();
    else asker.refused = true;
  }

  /** Everybody may use it again: nobody is left to answer. */
  private release(): void {
    this.holder = undefined;
    for (const entry of this.entries.values()) entry.asking = false;
  }

  private controls(entry: Entry): boolean {
    return !entry.looking && (this.holder === undefined || this.holder === entry);
  }

  private find(key: string): Entry | undefined {
    return [...this.entries.values()].findLast(({ identity }) => identity.key === key);
  }

  private held(): HypervueError {
    return new HypervueError(
      'invalid-state',
      this.holder
        ? say('holdsAlone', { holder: this.holder.identity.name, name: this.machine })
        : say('nobodyHolds', { name: this.machine }),
      { object: this.machine, holder: this.holder?.id ?? '' },
      say('fixAskToShare'),
    );
  }
}
