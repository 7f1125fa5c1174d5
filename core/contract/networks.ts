import { z } from 'zod';
import { errorSchema } from './errors.ts';
import { saidSchema } from './said.ts';

/** Places of a machine's network cards. */
export const netPlaces = ['net0', 'net1', 'net2', 'net3'] as const;
export type NetPlace = (typeof netPlaces)[number];

/** What a card is for the guest: a VirtIO network device, or Intel's 82540EM, which more systems have a driver for. */
export const nicModels = ['virtio', 'e1000'] as const;
export type NicModel = (typeof nicModels)[number];

/** IEEE 802 address of one station, in lower case: never a group's, never all zeros. */
export const macSchema = z
  .string()
  .regex(/^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/)
  .refine((mac) => mac !== '00:00:00:00:00:00');

/** An address of three random bytes behind the prefix of QEMU and KVM, which is locally administered and known to people as that of a virtual machine. */
export const virtualMac = (random: Uint8Array): string =>
  ['52', '54', '00', ...[...random.subarray(0, 3)].map((byte) => byte.toString(16).padStart(2, '0'))].join(':');

/** Names a network for good, whatever it is called. */
export const networkIdSchema = z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/);

/** The network that is always there. */
export const DEFAULT_NETWORK = 'default';

/** A network card in `vm.json`. */
export const networkCardSchema = z.object({
  id: z.enum(netPlaces),
  model: z.enum(nicModels),
  mac: macSchema,
  /** Where its cable leads; null: nowhere. */
  network: networkIdSchema.nullable(),
  /** False: the cable is pulled out. */
  connected: z.boolean().default(true),
});
export type NetworkCard = z.infer<typeof networkCardSchema>;
/** Most cards of one machine. */
export const MAX_CARDS = netPlaces.length;
/** A card as somebody wants it: one without a MAC keeps that of the card in its place, or is given one that nobody in the library has. */
export const wantedCardSchema = networkCardSchema.extend({ mac: macSchema.optional() });
export type WantedCard = z.infer<typeof wantedCardSchema>;

/**
 * `nat`: machines see each other, and the world through Hypervue; needs no rights. `isolated`: they see only each other. `host-only`: they see each other and
 * the host. `routed`: as host-only, and the host forwards what is for others. `bridged`: they are on the host's own network.
 */
export const networkKinds = ['nat', 'isolated', 'host-only', 'routed', 'bridged'] as const;
export type NetworkKind = (typeof networkKinds)[number];

const octet = '(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])';
/** Dotted decimal, without leading zeros. */
export const ipv4Schema = z.string().regex(new RegExp(`^(${octet}\\.){3}${octet}$`));
/** Network address and prefix length, 8 to 29: `192.168.100.0/24`. */
export const subnetSchema = z.string().regex(new RegExp(`^(${octet}\\.){3}${octet}/(8|9|1[0-9]|2[0-9])$`));

/** An interface of this computer: what Linux takes (IFNAMSIZ), as far as it can't be taken for anything else on a command line. */
export const deviceNameSchema = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$/);

const portSchema = z.number().int().min(1).max(65_535);

/** Connections to a port of the host go on to a machine. */
export const portForwardSchema = z.object({
  id: z.string().min(1).max(40),
  protocol: z.enum(['tcp', 'udp']),
  /** Address of the host that is listened on; 0.0.0.0 lets other computers in. */
  hostAddress: ipv4Schema.default('127.0.0.1'),
  hostPort: portSchema,
  /** Machine and card that it leads to, whatever address that card has. */
  vm: z.string().max(64),
  card: z.enum(netPlaces),
  guestPort: portSchema,
  description: z.string().max(200).default(''),
});
export type PortForward = z.infer<typeof portForwardSchema>;

const EVERY_ADDRESS = '0.0.0.0';
/** Two forwards that can't both listen: on the same port of the same address, or one of them on all addresses. */
export const samePort = (a: ListeningPlace, b: ListeningPlace): boolean =>
  a.protocol === b.protocol &&
  a.hostPort === b.hostPort &&
  (a.hostAddress === b.hostAddress || a.hostAddress === EVERY_ADDRESS || b.hostAddress === EVERY_ADDRESS);
type ListeningPlace = Pick<PortForward, 'protocol' | 'hostAddress' | 'hostPort'>;

/** Longest name of what a system is started from, bytes in UTF-8: what an option of DHCP holds, RFC 2132 section 2. */
export const MAX_BOOT_FILE = 255;

/** Whether a card gets what it starts from at a URL, and not from its network's folder. Not every iPXE has TLS. */
export const isBootUrl = (file: string): boolean => /^(https?|tftp):\/\/[^/]/i.test(file);

const bootFileSchema = z
  .string()
  .min(1)
  .max(MAX_BOOT_FILE)
  .regex(/^[^\p{Cc}]*$/u)
  .refine((file) => new TextEncoder().encode(file).length <= MAX_BOOT_FILE);

/** What machines on a network start from when nothing else does. */
export const bootSourceSchema = z.object({
  /** A file in `folder`, with `/` between folders, or a URL: told to cards that ask for an address (DHCP option 67). */
  file: bootFileSchema,
  /** The same for cards that say that they start under UEFI (DHCP option 93, RFC 4578); without it `file` for those too. */
  uefiFile: bootFileSchema.optional(),
  /** Absolute path of the folder on this computer whose files machines of the network can read by TFTP; null for none. */
  folder: z
    .string()
    .min(1)
    .max(4096)
    .regex(/^[^\0]*$/)
    .nullable(),
});
export type BootSource = z.infer<typeof bootSourceSchema>;

/** What a machine with this firmware is told. */
export const bootFileFor = ({ file, uefiFile }: Pick<BootSource, 'file' | 'uefiFile'>, firmware: 'bios' | 'uefi'): string =>
  (firmware === 'uefi' ? uefiFile : undefined) ?? file;

/** All that it tells, first that for BIOS. */
export const bootFiles = ({ file, uefiFile }: Pick<BootSource, 'file' | 'uefiFile'>): string[] =>
  uefiFile === undefined ? [file] : [file, uefiFile];

/** A network as it is kept. */
export const networkSchema = z.object({
  id: networkIdSchema,
  /** Shown to people; 1-64 characters after trimming, none of them a control character. */
  name: z
    .string()
    .trim()
    .min(1)
    .max(64)
    .regex(/^[^\p{Cc}]*$/u),
  kind: z.enum(networkKinds),
  description: z.string().max(1000).default(''),
  /** Addresses of the network; its first is the gateway's where there is one, and this computer's in `host-only` and `routed`. Null in `bridged`, whose addresses others give. */
  subnet: subnetSchema.nullable(),
  /** The bridge of this computer that machines are on: of `bridged`, null for all others. */
  bridge: deviceNameSchema.nullable().default(null),
  /** Addresses given to machines that ask by DHCP; null: none are given. */
  dhcp: z.object({ from: ipv4Schema, to: ipv4Schema }).nullable(),
  /** Only of `nat`. */
  forwards: z.array(portForwardSchema).max(256).default([]),
  /** Only of `nat`, and where it gives addresses; null: machines get nothing to start from. */
  boot: bootSourceSchema.nullable().default(null),
});
export type Network = z.infer<typeof networkSchema>;

/** A card with its cable in this network, of a machine that is on or off. */
export const networkMemberSchema = z.object({
  vm: z.string(),
  vmName: z.string(),
  card: z.enum(netPlaces),
  mac: macSchema,
  model: z.enum(nicModels),
  /** The machine is on and the cable is plugged in. */
  connected: z.boolean(),
  /** Last seen or given; null before. */
  address: ipv4Schema.nullable(),
});
export type NetworkMember = z.infer<typeof networkMemberSchema>;

/** `idle`: no machine that is on needs it, so nothing runs. */
export const networkStates = ['idle', 'active', 'failed'] as const;

/** A network as `network.list` tells of it. */
export const networkStatusSchema = networkSchema.extend({
  state: z.enum(networkStates),
  /** Why it failed. */
  error: errorSchema.nullable(),
  gateway: ipv4Schema.nullable(),
  members: z.array(networkMemberSchema),
  /** Forwards that don't work now, and why: a port that somebody else has, a machine that has no address. */
  forwardProblems: z.array(z.object({ id: z.string(), error: errorSchema })),
  /** Why its addresses can't be changed now, or null: machines that are on have them. */
  locked: saidSchema.nullable(),
});
export type NetworkStatus = z.infer<typeof networkStatusSchema>;

/** What of each kind can be had on this host, and why not. */
export const networkKindStatusSchema = z.object({ kind: z.enum(networkKinds), available: z.boolean(), reason: saidSchema.nullable() });
export type NetworkKindStatus = z.infer<typeof networkKindStatusSchema>;

/** Most networks there may be. */
export const MAX_NETWORKS = 32;

const networkPatchSchema = z.object({
  name: networkSchema.shape.name.optional(),
  description: z.string().max(1000).optional(),
  subnet: subnetSchema.optional(),
  bridge: deviceNameSchema.optional(),
  dhcp: networkSchema.shape.dhcp.optional(),
  forwards: z.array(portForwardSchema).max(256).optional(),
  boot: bootSourceSchema.nullable().optional(),
});
export type NetworkPatch = z.infer<typeof networkPatchSchema>;

/** Kinds that take an interface of this computer, which only an administrator can make. */
export const hostKinds: readonly NetworkKind[] = ['host-only', 'routed', 'bridged'];

/** `have`: this program may change interfaces; `ask`: the system asks for an administrator's password; `none`: an administrator has to run the commands. */
export const deviceRights = ['have', 'ask', 'none'] as const;
export type DeviceRights = (typeof deviceRights)[number];

/** This computer's interface of a network. */
export const networkDeviceSchema = z.object({
  device: deviceNameSchema,
  /** `ready`: there as it has to be; `missing`: not, or not as it has to be; `failed`: it can't be made, see `problem`. */
  state: z.enum(['ready', 'missing', 'failed']),
  rights: z.enum(deviceRights),
  /** Exactly what would be run to make it as it has to be. */
  commands: z.array(z.string()),
  /** What takes it away again; none where there is nothing to take away. */
  undo: z.array(z.string()),
  problem: errorSchema.nullable(),
});
export type NetworkDevice = z.infer<typeof networkDeviceSchema>;

/** A bridge of this computer. */
export const hostBridgeSchema = z.object({
  device: deviceNameSchema,
  /** Interfaces in it. */
  ports: z.array(z.string()),
  /** Addresses with their prefix length. */
  addresses: z.array(z.string()),
  up: z.boolean(),
});
export type HostBridge = z.infer<typeof hostBridgeSchema>;

/** Programs that set interfaces up when a computer starts, or a cable is plugged in. */
export const interfaceManagers = ['NetworkManager', 'systemd-networkd', 'ifupdown'] as const;

/** An interface of this computer that could lead a bridge to a network. */
export const uplinkSchema = z.object({
  device: deviceNameSchema,
  mac: z.string(),
  up: z.boolean(),
  /** A cable is plugged in, and the other end is there. */
  carrier: z.boolean(),
  /** With their prefix length. */
  addresses: z.array(z.string()),
  /** This computer reaches the world by it. */
  defaultRoute: z.boolean(),
  managedBy: z.enum(interfaceManagers).nullable(),
  /** Why it can't be put into a bridge; null where it can. */
  refusal: saidSchema.nullable(),
});
export type Uplink = z.infer<typeof uplinkSchema>;

/** Exactly what would be run to make a bridge of an uplink, and to take it back. */
export const bridgePlanSchema = z.object({
  uplink: deviceNameSchema,
  bridge: deviceNameSchema,
  rights: z.enum(deviceRights),
  commands: z.array(z.string()),
  undo: z.array(z.string()),
  /** What is good to know before. */
  notes: z.array(saidSchema),
});
export type BridgePlan = z.infer<typeof bridgePlanSchema>;

/** A bridge that was made and is taken back by itself, unless somebody says that it is to stay. `lost`: what watches over it is gone, and nothing will be taken back. */
export const bridgeTrialSchema = z.object({
  uplink: deviceNameSchema,
  bridge: deviceNameSchema,
  state: z.enum(['on', 'lost']),
  /** Milliseconds until it is taken back. */
  leftMs: z.number().int().min(0),
  undo: z.array(z.string()),
});
export type BridgeTrial = z.infer<typeof bridgeTrialSchema>;
/** Seconds that a trial lasts. */
export const TRIAL_SECONDS = { least: 10, usual: 30, most: 600 } as const;

export const networkMethods = {
  'network.list': { params: z.object({}), result: z.array(networkStatusSchema) },
  /** What can be had here, in the order of `networkKinds`. */
  'network.kinds': { params: z.object({}), result: z.array(networkKindStatusSchema) },
  /** Rejects names that are taken, addresses that another network has, and DHCP ranges that don't fit, as 'already-exists' or 'invalid-argument'. */
  'network.create': { params: networkSchema.omit({ id: true }), result: networkStatusSchema },
  /** Applies at once; `subnet`, `bridge` and `dhcp` only while no machine that is on has the network. */
  'network.update': { params: z.object({ id: networkIdSchema, patch: networkPatchSchema }), result: networkStatusSchema },
  /** What there is of the interface of a network, and what would make it; rejects for kinds that have none. */
  'network.device': { params: z.object({ id: networkIdSchema }), result: networkDeviceSchema },
  /** Makes the interface as it has to be; the system may ask for an administrator's password. Rejects as 'permission-denied' where nobody can be asked. */
  'network.setUp': { params: z.object({ id: networkIdSchema }), result: networkDeviceSchema },
  /** Bridges of this computer that machines can be put on. */
  'network.bridges': { params: z.object({}), result: z.array(hostBridgeSchema) },
  /** Interfaces of this computer that a bridge can be made of, and others of which it can't, with the reason. */
  'network.uplinks': { params: z.object({}), result: z.array(uplinkSchema) },
  /** What `network.applyBridge` would run, as things are now. A free name is taken where none is given. */
  'network.planBridge': { params: z.object({ uplink: deviceNameSchema, bridge: deviceNameSchema.optional() }), result: bridgePlanSchema },
  /** Makes a bridge of an uplink for some seconds: it is taken back unless `network.keepBridge` comes before, whatever becomes of this program. Rejects with everything as it was. */
  'network.applyBridge': {
    params: z.object({
      uplink: deviceNameSchema,
      bridge: deviceNameSchema,
      seconds: z.number().int().min(TRIAL_SECONDS.least).max(TRIAL_SECONDS.most).default(TRIAL_SECONDS.usual),
    }),
    result: bridgeTrialSchema,
  },
  /** The trial under way; null for none. */
  'network.bridgeTrial': { params: z.object({}), result: bridgeTrialSchema.nullable() },
  /** The bridge stays, until this computer is started again. Rejects as 'not-found' without a trial, and as 'timeout' where it was taken back already. */
  'network.keepBridge': { params: z.object({}), result: z.null() },
  /** It is taken back now. */
  'network.undoBridge': { params: z.object({}), result: z.null() },
  /** Refused as 'in-use' while a machine has it. Its interface goes along, as far as there are rights. */
  'network.delete': { params: z.object({ id: networkIdSchema }), result: z.null() },
} as const;

export const networkEvents = {
  /** The list, or the state of one, is not what it was; at most twice a second. */
  'network.changed': z.object({}),
} as const;
