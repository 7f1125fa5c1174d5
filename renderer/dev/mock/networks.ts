import type { ErrorDto } from '../../../core/contract/errors.ts';
import type { EventName, EventPayload } from '../../../core/contract/methods.ts';
import {
  type BridgePlan,
  type BridgeTrial,
  DEFAULT_NETWORK,
  type HostBridge,
  hostKinds,
  type NetworkDevice,
  type NetworkMember,
  type NetworkStatus,
  type Uplink,
} from '../../../core/contract/networks.ts';
import type { Handlers } from '../../../core/contract/server.ts';
import type { VmSummary } from '../../../core/contract/vm.ts';

type NetworkHandlers = Pick<Handlers, Extract<keyof Handlers, `network.${string}`>>;

/** Invented networks that obey, with the invented machines on them. */
export function mockNetworks(
  machines: () => VmSummary[],
  emit: <E extends EventName>(event: E, payload: EventPayload<E>) => void,
  fail: (dto: ErrorDto) => Error,
): NetworkHandlers {
  type Kept = Omit<NetworkStatus, 'members' | 'state' | 'locked'>;
  const base = { description: '', bridge: null, error: null, gateway: null, forwards: [], boot: null, forwardProblems: [] };
  let kept: Kept[] = [
    {
      ...base,
      id: DEFAULT_NETWORK,
      name: 'Default',
      kind: 'nat',
      subnet: '192.168.100.0/24',
      gateway: '192.168.100.1',
      dhcp: { from: '192.168.100.128', to: '192.168.100.254' },
    },
    { ...base, id: 'lab', name: 'Lab', kind: 'isolated', subnet: '10.10.0.0/24', dhcp: null, description: 'Sees nobody else.' },
  ];

  const membersOf = (id: string, vms: readonly VmSummary[]): NetworkMember[] =>
    vms.flatMap((vm, i) =>
      (vm.config?.network ?? [])
        .filter(({ network }) => network === id)
        .map(({ id: card, mac, model, connected }) => {
          const live = vm.state === 'running' || vm.state === 'paused';
          return {
            vm: vm.id,
            vmName: vm.name,
            card,
            mac,
            model,
            connected: connected && live,
            address: live ? `192.168.100.${128 + i}` : null,
          };
        }),
    );
  const status = (network: Kept): NetworkStatus => {
    const members = membersOf(network.id, machines());
    const on = members.find(({ connected }) => connected);
    return {
      ...network,
      members,
      state: network.error ? 'failed' : on ? 'active' : 'idle',
      locked: on ? { key: 'plain', params: { text: `${on.vmName} is on it` } } : null,
    };
  };
  const get = (id: string): Kept => {
    const network = kept.find((each) => each.id === id);
    if (!network) throw fail({ kind: 'not-found', message: `there is no network ${id}`, context: { object: id } });
    return network;
  };
  const gatewayOf = (subnet: string) => subnet.replace(/\d+\/.*$/, '1');

  const bridges: HostBridge[] = [{ device: 'br0', ports: ['eno1'], addresses: ['192.0.2.10/24'], up: true }];
  const plainUplink = { up: true, carrier: true, defaultRoute: false, managedBy: null, refusal: null };
  const uplinks: Uplink[] = [
    {
      ...plainUplink,
      device: 'eno2',
      mac: '02:00:00:00:00:02',
      addresses: ['198.51.100.7/24'],
      defaultRoute: true,
      managedBy: 'NetworkManager',
    },
    {
      ...plainUplink,
      device: 'wlan0',
      mac: '02:00:00:00:00:03',
      addresses: [],
      carrier: false,
      refusal: { key: 'uplinkWireless', params: {} },
    },
  ];
  const planOf = (uplink: string, bridge: string): BridgePlan => ({
    uplink,
    bridge,
    rights: 'ask',
    commands: [`ip link add name ${bridge} type bridge`, `ip link set dev ${uplink} master ${bridge}`],
    undo: [`ip link set dev ${uplink} nomaster`, `ip link delete dev ${bridge}`],
    notes: [{ key: 'noteManagedBy', params: { manager: 'NetworkManager', device: uplink } }],
  });
  let trial: { uplink: string; bridge: string; endsAt: number } | null = null;
  function trialNow(): BridgeTrial | null {
    if (!trial || trial.endsAt < Date.now()) return null;
    const { uplink, bridge, endsAt } = trial;
    return { uplink, bridge, state: 'on', leftMs: endsAt - Date.now(), undo: planOf(uplink, bridge).undo };
  }
  /** Networks whose interface was set up. */
  const made = new Set<string>();
  const device = ({ id }: Kept): NetworkDevice => ({
    device: 'hv0a1b2c3d',
    rights: 'ask',
    problem: null,
    ...(made.has(id)
      ? { state: 'ready', commands: [], undo: ['ip link delete dev hv0a1b2c3d'] }
      : {
          state: 'missing',
          commands: ['ip tuntap add dev hv0a1b2c3d mode tap user 1000', 'ip link set dev hv0a1b2c3d up'],
          undo: [],
        }),
  });

  return {
    'network.list': async () => kept.map(status),
    'network.kinds': async () => [
      { kind: 'nat', available: true, reason: null },
      { kind: 'isolated', available: true, reason: null },
      ...hostKinds.map((kind) => ({ kind, available: true, reason: null })),
    ],
    'network.create': async (network) => {
      if (kept.some(({ name }) => name === network.name))
        throw fail({
          kind: 'already-exists',
          message: `there is a network “${network.name}” already`,
          context: { object: network.name },
          fix: 'Choose another name.',
        });
      const made: Kept = {
        ...base,
        ...network,
        id: network.name.toLowerCase().replace(/[^a-z0-9]+/g, '-'),
        gateway: network.kind !== 'isolated' && network.subnet ? gatewayOf(network.subnet) : null,
      };
      kept = [...kept, made];
      emit('network.changed', {});
      return status(made);
    },
    'network.update': async ({ id, patch }) => {
      const next: Kept = { ...get(id), ...Object.fromEntries(Object.entries(patch).filter(([, value]) => value !== undefined)) };
      kept = kept.map((each) => (each.id === id ? next : each));
      emit('network.changed', {});
      return status(next);
    },
    'network.device': async ({ id }) => device(get(id)),
    'network.setUp': async ({ id }) => {
      made.add(id);
      return device(get(id));
    },
    'network.bridges': async () => bridges,
    'network.uplinks': async () => uplinks,
    'network.planBridge': async ({ uplink, bridge = 'br1' }) => planOf(uplink, bridge),
    'network.applyBridge': async ({ uplink, bridge, seconds }) => {
      trial = { uplink, bridge, endsAt: Date.now() + seconds * 1000 };
      emit('network.changed', {});
      return trialNow()!;
    },
    'network.bridgeTrial': async () => trialNow(),
    'network.keepBridge': async () => {
      bridges.push({ device: trial!.bridge, ports: [trial!.uplink], addresses: ['192.0.2.10/24'], up: true });
      trial = null;
      emit('network.changed', {});
      return null;
    },
    'network.undoBridge': async () => {
      trial = null;
      emit('network.changed', {});
      return null;
    },
    'network.delete': async ({ id }) => {
      get(id);
      kept = kept.filter((each) => each.id !== id);
      emit('network.changed', {});
      return null;
    },
  };
}
