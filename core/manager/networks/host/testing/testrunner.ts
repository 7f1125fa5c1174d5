import type { DeviceRights } from '../../../../contract/networks.ts';
import { HypervueError } from '../../../../util/errors.ts';
import type { HostRunner, TrialFiles } from '../runner.ts';
import type { Change } from '../steps.ts';

/** A computer whose interfaces are what the test says; nothing of the real one is looked at or changed. */
export class TestRunner implements HostRunner {
  none: ReturnType<HostRunner['missing']>;
  allowed: DeviceRights = 'have';
  forwarding = false;
  /** What `ip` says, by its arguments. */
  readonly says = new Map<string, unknown>();
  readonly changes: Change[] = [];
  /** What a change comes to. */
  changing: (change: Change) => void = () => {};

  missing(): ReturnType<HostRunner['missing']> {
    return this.none;
  }

  rights(): DeviceRights {
    return this.allowed;
  }

  async ip(args: readonly string[]): Promise<string> {
    return JSON.stringify(this.says.get(args.join(' ')) ?? []);
  }

  async forwards(): Promise<boolean> {
    return this.forwarding;
  }

  async change(change: Change): Promise<void> {
    if (this.allowed === 'none') throw new HypervueError('permission-denied', 'no rights');
    this.changes.push(change);
    this.changing(change);
  }

  /** What begins with a trial; the process that it names is this one. */
  beginning: (change: Change, files: TrialFiles, seconds: number) => void = () => {};

  async begin(change: Change, files: TrialFiles, seconds: number): Promise<number> {
    this.beginning(change, files, seconds);
    return process.pid;
  }
}
