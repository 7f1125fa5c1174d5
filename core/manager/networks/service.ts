/** The networks that machines' cables lead to. */
import {
  DEFAULT_NETWORK,
  hostKinds,
  type Network,
  type NetworkKind,
  type NetworkKindStatus,
  networkKinds,
  type networkMethods,
  type NetworkMember,
  type NetworkPatch,
  type NetworkStatus,
} from '../../contract/networks.ts';
import type { Handlers } from '../../contract/server.ts';
import { gatewayOf, ipv4Text, parseSubnet } from '../../contract/ipv4.ts';
import { asHypervueError, HypervueError } from '../../util/errors.ts';
import { say, type Saying } from '../../util/say.ts';
import { BridgeWizard } from './host/bridgewizard.ts';
import type { HostNetworkDevices } from './host/hostnetworkdevices.ts';
import { reads } from './host/runner.ts';
import { type ActiveParts, sameAddresses } from './activenetwork.ts';
import { Attachments } from './attachments.ts';
import { checkBootFolder } from './bootsource.ts';
import { forwardProblems } from './forwardproblems.ts';
import { membersOf, type NetworkedMachine } from './members.ts';
import { checkNetwork } from './rules.ts';
import type { NetworkStore } from './store.ts';

/** Least time between two events. */
const TELL_MS = 500;

export interface NetworkServiceParts extends Omit<ActiveParts, 'network'> {
  devices: HostNetworkDevices;
  /** Folders whose files no machine gets. */
  ownFolders(): readonly string[];
  machines(): readonly NetworkedMachine[];
}

export class NetworkService {
  readonly handlers: Pick<Handlers, keyof typeof networkMethods>;
  /** For the machines' starts and ends. */
  readonly attachments: Attachments;
  private readonly wizard: BridgeWizard;
  private readonly store: NetworkStore;
  private readonly parts: NetworkServiceParts;
  private telling: NodeJS.Timeout | undefined;
  private toldAt = 0;

  constructor(store: NetworkStore, parts: NetworkServiceParts) {
    this.store = store;
    this.parts = parts;
    this.attachments = new Attachments({ ...parts, network: (id) => this.get(id), changed: () => this.changed() });
    const { devices, runtimeFolder } = parts;
    this.wizard = new BridgeWizard({ devices, runtimeFolder, read: reads, changed: () => this.changed() });
    this.handlers = {
      'network.list': async () => {
        await store.reload();
        return store.get().networks.map((network) => this.status(network));
      },
      'network.kinds': async () => networkKinds.map((kind) => this.kindStatus(kind)),
      'network.device': ({ id }) => parts.devices.look(this.get(id)),
      'network.setUp': async ({ id }) => {
        const device = await parts.devices.setUp(this.get(id));
        this.changed();
        return device;
      },
      'network.bridges': () => parts.devices.bridges(),
      'network.uplinks': () => this.wizard.uplinks(),
      'network.planBridge': ({ uplink, bridge }) => this.wizard.plan(uplink, bridge),
      'network.applyBridge': ({ uplink, bridge, seconds }) => this.wizard.apply(uplink, bridge, seconds),
      'network.bridgeTrial': () => this.wizard.trial(),
      'network.keepBridge': async () => {
        await this.wizard.keep();
        return null;
      },
      'network.undoBridge': async () => {
        await this.wizard.undo();
        return null;
      },
      'network.create': (network) => this.create(network),
      'network.update': ({ id, patch }) => this.update(id, patch),
      'network.delete': ({ id }) => this.delete(id),
    };
  }

  /** The network with this id. Throws 'not-found'. */
  get(id: string): Network {
    const network = this.store.get().networks.find((each) => each.id === id);
    if (!network) throw new HypervueError('not-found', say('networkGone', { name: id }), { object: id }, say('fixNetworkGone'));
    return network;
  }

  /** Tells clients, soon, that something about networks is not what it was. */
  changed(): void {
    if (this.telling) return;
    const wait = Math.max(0, this.toldAt + TELL_MS - performance.now());
    this.telling = setTimeout(() => {
      this.telling = undefined;
      this.toldAt = performance.now();
      this.parts.changed();
    }, wait);
    this.telling.unref();
  }

  async close(): Promise<void> {
    this.wizard.close();
    await this.attachments.end();
    clearTimeout(this.telling);
  }

  private members(network: Network): NetworkMember[] {
    return membersOf(network, this.parts.machines(), (mac) => this.attachments.addressOf(network.id, mac));
  }

  private status(network: Network): NetworkStatus {
    const members = this.members(network);
    const now = this.attachments.now(network.id);
    return {
      ...network,
      state: now.state,
      error: now.error?.toJSON() ?? null,
      gateway: GATEWAY_KINDS.includes(network.kind) && network.subnet ? ipv4Text(gatewayOf(parseSubnet(network.subnet))) : null,
      members,
      forwardProblems: forwardProblems(network, members, now),
      locked: lockedBy(members)?.said ?? null,
    };
  }

  private async create(wanted: Omit<Network, 'id'>): Promise<NetworkStatus> {
    const missing = this.kindMissing(wanted.kind);
    if (missing)
      throw new HypervueError(
        'unsupported',
        say('kindCantBeHad', { reason: missing.reason }),
        { object: wanted.name, field: 'kind', reason: missing.reason.said.key },
        missing.fix,
      );
    if (wanted.boot) await checkBootFolder(wanted.name, wanted.boot, this.parts.ownFolders());
    let made: Network | undefined;
    await this.store.change(({ networks }) => {
      made = { ...wanted, id: freeId(wanted.name, networks) };
      checkNetwork(made, networks);
      return { networks: [...networks, made] };
    });
    this.changed();
    return this.status(made!);
  }

  private kindMissing(kind: NetworkKind): { reason: Saying; fix: Saying } | undefined {
    return hostKinds.includes(kind) ? this.parts.devices.runner.missing() : undefined;
  }

  private kindStatus(kind: NetworkKind): NetworkKindStatus {
    const missing = this.kindMissing(kind);
    return { kind, available: !missing, reason: missing?.reason.said ?? null };
  }

  /** What can't be taken away is told by `network.device` before. */
  private async removeDevice(network: Network): Promise<void> {
    if (!hostKinds.includes(network.kind)) return;
    const { log, devices } = this.parts;
    const left = await devices.remove(network).catch((error: unknown) => [asHypervueError(error).message]);
    if (left.length) log.warn(`the interface of ${network.name} is still there: ${left.join('; ')}`);
  }

  private async update(id: string, patch: NetworkPatch): Promise<NetworkStatus> {
    // One that stays is not asked about again: other settings can be changed without it.
    if (patch.boot && patch.boot.folder !== this.get(id).boot?.folder)
      await checkBootFolder(this.get(id).name, patch.boot, this.parts.ownFolders());
    let before: Network | undefined;
    await this.store.change(({ networks }) => {
      const now = this.get(id);
      before = now;
      const next = { ...now, ...given(patch) };
      checkNetwork(
        next,
        networks.filter((each) => each.id !== id),
      );
      const why = sameAddresses(now, next) ? undefined : lockedBy(this.members(now));
      if (why)
        throw new HypervueError(
          'in-use',
          say('networkCantChange', { name: now.name, why }),
          { object: now.name, field: 'subnet' },
          say('fixNetworkCantChange'),
        );
      return { networks: networks.map((each) => (each.id === id ? next : each)) };
    });
    this.attachments.refresh(id, before!);
    this.changed();
    return this.status(this.get(id));
  }

  private async delete(id: string): Promise<null> {
    let gone: Network | undefined;
    await this.store.change(({ networks }) => {
      const network = this.get(id);
      gone = network;
      const why = keptBy(network, this.members(network));
      if (why)
        throw new HypervueError(
          'in-use',
          say('networkCantDelete', { name: network.name, why }),
          { object: network.name, operation: 'delete' },
          id === DEFAULT_NETWORK ? undefined : say('fixNetworkCantDelete'),
        );
      return { networks: networks.filter((each) => each.id !== id) };
    });
    await this.attachments.stop(id);
    this.attachments.forget(id);
    await this.removeDevice(gone!);
    this.changed();
    return null;
  }
}

/** Kinds whose first address is what machines ask first: a gateway's, or this computer's. */
const GATEWAY_KINDS: readonly NetworkKind[] = ['nat', 'host-only', 'routed'];

/** What of a patch is there. */
const given = (patch: NetworkPatch): Partial<Network> =>
  Object.fromEntries(Object.entries(patch).filter(([, value]) => value !== undefined));

const namesOf = (members: readonly NetworkMember[]): string[] => [...new Set(members.map(({ vmName }) => vmName))];

function lockedBy(members: readonly NetworkMember[]): Saying | undefined {
  const names = namesOf(members.filter(({ connected }) => connected));
  return names.length ? say(names.length === 1 ? 'networkOn' : 'networkAreOn', { names: names.join(', ') }) : undefined;
}

function keptBy({ id, name }: Network, members: readonly NetworkMember[]): Saying | undefined {
  if (id === DEFAULT_NETWORK) return say('networkAlways', { name });
  const names = namesOf(members);
  return names.length ? say(names.length === 1 ? 'networkHas' : 'networkHave', { names: names.join(', ') }) : undefined;
}

/** An id that reads like the name, and that no network has. */
function freeId(name: string, networks: readonly Network[]): string {
  const base =
    name
      .toLowerCase()
      .normalize('NFKD')
      .replace(/\p{M}+/gu, '')
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-+|-+$/g, '')
      .slice(0, 32)
      .replace(/-+$/, '') || 'network';
  for (let number = 1; ; number++) {
    const id = number === 1 ? base : `${base}-${number}`;
    if (!networks.some((each) => each.id === id)) return id;
  }
}
