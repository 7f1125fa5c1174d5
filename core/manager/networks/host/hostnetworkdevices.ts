/** This computer's interfaces of networks: one TAP device each, which machines are reached by. */
import { type HostBridge, hostKinds, type Network, type NetworkDevice } from '../../../contract/networks.ts';
import { asHypervueError, HypervueError } from '../../../util/errors.ts';
import { say } from '../../../util/say.ts';
import { type HostInterface, readInterfaces } from './interfaces.ts';
import type { HostRunner } from './runner.ts';
import { commandTexts } from './steps.ts';
import { planTap, type TapIdentity, tapIdentity, type TapPlan } from './tapplan.ts';

/** How the interfaces are asked for. */
const SHOW = ['-json', '-details', 'address', 'show'];

type Wanted = Pick<Network, 'id' | 'name' | 'kind' | 'subnet' | 'bridge'>;

export class HostNetworkDevices {
  readonly runner: HostRunner;
  private readonly place: string;
  /** Changes, one after the other. */
  private last: Promise<unknown> = Promise.resolve();

  /** `place`: the folder that the networks are kept in. */
  constructor(runner: HostRunner, place: string) {
    this.runner = runner;
    this.place = place;
  }

  /** Its name, whether it is there or not; null for a kind that has none. */
  deviceOf(network: Wanted): string | null {
    return hostKinds.includes(network.kind) ? this.identity(network).device : null;
  }

  async interfaces(): Promise<HostInterface[]> {
    return readInterfaces(await this.runner.ip(SHOW));
  }

  async bridges(): Promise<HostBridge[]> {
    if (this.runner.missing()) return [];
    const all = await this.interfaces();
    return all
      .filter(({ kind }) => kind === 'bridge')
      .map(({ name: device, up, addresses }) => ({
        device,
        up,
        ports: all.filter(({ master }) => master === device).map(({ name }) => name),
        addresses: addresses.map(({ address }) => address),
      }));
  }

  /** What there is, and what would be done. Rejects with 'invalid-argument' for a kind that has no interface. */
  async look(network: Wanted): Promise<NetworkDevice> {
    const { device } = this.identity(network);
    const rights = this.runner.rights();
    const nothing = { device, rights, commands: [], undo: [] };
    try {
      const { change, remove } = await this.plan(network);
      const commands = commandTexts(change);
      const undo = commandTexts({ steps: remove });
      return { device, state: commands.length ? 'missing' : 'ready', rights, commands, undo, problem: null };
    } catch (error) {
      return { ...nothing, state: 'failed', problem: asHypervueError(error, { object: network.name }).toJSON() };
    }
  }

  /** What keeps machines from using it now. */
  async problem(network: Wanted): Promise<HypervueError | null> {
    if (!hostKinds.includes(network.kind)) return null;
    try {
      const { change } = await this.plan(network);
      const commands = commandTexts(change);
      return commands.length && this.runner.rights() !== 'have' ? notSetUp(network, commands) : null;
    } catch (error) {
      return asHypervueError(error, { object: network.name });
    }
  }

  /** The device, as it has to be. Nobody is asked for anything: without rights it rejects, and says what has to be run. */
  prepare(network: Wanted): Promise<string> {
    return this.make(network, false);
  }

  /** The same; the system may ask for a password. */
  async setUp(network: Wanted): Promise<NetworkDevice> {
    await this.make(network, true);
    return this.look(network);
  }

  /** Takes it away as far as there are rights, and resolves with the commands that are still to be run where there are none. */
  remove(network: Wanted): Promise<string[]> {
    return this.inTurn(async () => {
      const { remove } = await this.plan({ ...network, subnet: null, bridge: null });
      if (!remove.length) return [];
      if (this.runner.rights() === 'none') return commandTexts({ steps: remove });
      await this.runner.change({ steps: remove, undo: [] });
      return [];
    });
  }

  private make(network: Wanted, ask: boolean): Promise<string> {
    return this.inTurn(async () => {
      const { device } = this.identity(network);
      const { change } = await this.plan(network);
      const commands = commandTexts(change);
      if (!commands.length) return device;
      const rights = this.runner.rights();
      if (rights === 'none' || (rights === 'ask' && !ask)) throw notSetUp(network, commands);
      await this.runner.change(change);
      return device;
    });
  }

  private identity({ id, name, kind }: Wanted): TapIdentity {
    if (!hostKinds.includes(kind)) throw new HypervueError('invalid-argument', say('networkNoDevice', { name }), { object: name });
    return tapIdentity(id, this.place, process.getuid?.() ?? 0);
  }

  private async plan(network: Wanted): Promise<TapPlan> {
    const identity = this.identity(network);
    const missing = this.runner.missing();
    if (missing) throw new HypervueError('unsupported', missing.reason, { object: network.name }, missing.fix);
    return planTap(network, identity, await this.interfaces(), network.kind !== 'routed' || (await this.runner.forwards()));
  }

  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.last.then(work);
    this.last = turn.catch(() => {});
    return turn;
  }
}

const notSetUp = ({ name }: Wanted, commands: readonly string[]): HypervueError =>
  new HypervueError(
    'permission-denied',
    say('deviceNotSetUp', { name }),
    { object: name, operation: 'set up' },
    say('fixDeviceNotSetUp', { commands: commands.join('; ') }),
  );
