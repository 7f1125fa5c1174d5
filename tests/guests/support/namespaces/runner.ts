import type { DeviceRights } from '../../../../core/contract/networks.ts';
import { SystemRunner } from '../../../../core/manager/networks/host/runner.ts';
import type { Change } from '../../../../core/manager/networks/host/steps.ts';
import type { Namespace } from './namespace.ts';

/** What a manager looks at and changes, in a namespace instead of on this computer. */
export class NamespaceRunner extends SystemRunner {
  /** As a manager without rights has it. */
  allowed: DeviceRights = 'have';
  readonly changes: Change[] = [];
  private readonly space: Namespace;

  constructor(space: Namespace) {
    super();
    this.space = space;
  }

  override rights(): DeviceRights {
    return this.allowed;
  }

  override change(change: Change): Promise<void> {
    this.changes.push(change);
    return super.change(change);
  }

  protected override place(file: string, args: readonly string[]): [string, readonly string[]] {
    return this.space.inside(file, ...args);
  }
}
