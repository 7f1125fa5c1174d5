import path from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import {
  type BootSource,
  bootFiles,
  bootSourceSchema,
  hostKinds,
  ipv4Schema,
  isBootUrl,
  MAX_BOOT_FILE,
  type NetworkDevice,
  type NetPlace,
  type NetworkStatus,
  netPlaces,
  networkKinds,
  type NetworkKind,
  type NetworkPatch,
  type PortForward,
  subnetSchema,
} from '../contract/networks.ts';
import { freeSubnet, parseSubnet, usualRange } from '../contract/ipv4.ts';
import { HypervueError } from '../util/errors.ts';
import { addBridges, interfaceName } from './networkbridge.ts';
import { EXIT_ERROR, EXIT_OK, table } from './output.ts';
import type { RunSession, Session } from './session.ts';

type Range = { from: string; to: string };

function subnet(text: string): string {
  if (subnetSchema.safeParse(text).success) return text;
  throw new InvalidArgumentError('an address and a prefix length of 8 to 29 are wanted, as 10.7.0.0/24');
}

function address(text: string): string {
  if (ipv4Schema.safeParse(text).success) return text;
  throw new InvalidArgumentError('an address is wanted, as 127.0.0.1');
}

function range(text: string): Range {
  const [from, to, ...rest] = text.split('-');
  if (rest.length === 0 && from && to) return { from: address(from), to: address(to) };
  throw new InvalidArgumentError('two addresses are wanted, as 10.7.0.128-10.7.0.254');
}

function port(text: string): number {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= 65_535) return number;
  throw new InvalidArgumentError('a port is a number from 1 to 65535');
}

/** `2222:22`, or one number for both. */
function ports(text: string): { hostPort: number; guestPort: number } {
  const [host = '', guest = host, ...rest] = text.split(':');
  if (rest.length) throw new InvalidArgumentError("two ports are wanted, this computer's and the machine's: 2222:22");
  return { hostPort: port(host), guestPort: port(guest) };
}

/** A network that nobody has yet. */
function unusedSubnet(networks: readonly NetworkStatus[]): string {
  const free = freeSubnet(networks.flatMap(({ subnet: net }) => (net === null ? [] : parseSubnet(net))));
  if (free === undefined)
    throw new HypervueError('resource-limit', 'every network of 192.168 is taken', {}, 'Name another: --subnet 10.7.0.0/24.');
  return free;
}

/** The network of this id or name. */
export async function networkOf(session: Session, wanted: string): Promise<NetworkStatus> {
  const networks = await session.client.call('network.list', {});
  const found = networks.find(({ id }) => id === wanted) ?? networks.find(({ name }) => name.toLowerCase() === wanted.toLowerCase());
  if (!found) throw new HypervueError('not-found', `there is no network ${wanted}`, { object: wanted }, 'See `hypervue network list`.');
  return found;
}

const rangeText = (dhcp: Range | null) => (dhcp ? `${dhcp.from} to ${dhcp.to}` : 'none');
const line = ({ id, name, kind, subnet: net, bridge, dhcp }: NetworkStatus) =>
  net === null ? `${id} (${name}): ${kind}, on ${bridge}` : `${id} (${name}): ${kind}, ${net}, DHCP ${rangeText(dhcp)}`;

const forwardText = ({ id, protocol, hostAddress, hostPort, card, guestPort }: PortForward, machine: string) =>
  `${id}: ${protocol} ${hostAddress}:${hostPort} to ${machine} ${card}, port ${guestPort}`;

const bootText = ({ file, uefiFile, folder }: BootSource) =>
  `${file}${uefiFile === undefined ? '' : ` (UEFI: ${uefiFile})`}${folder === null ? '' : `, TFTP from ${folder}`}`;

/** Names of machines, as far as they are there. */
async function machineNames(session: Session): Promise<Map<string, string>> {
  return new Map((await session.client.call('vm.list', {})).map(({ id, name }) => [id, name]));
}

/** What there is of this computer's interface, and what has to be run. */
function deviceText({ device, state, rights, commands, problem }: NetworkDevice): string[] {
  if (problem) return [`${device}: ${problem.message}${problem.fix ? `. ${problem.fix}` : ''}`];
  if (state === 'ready') return [`${device}, set up`];
  const how = rights === 'have' ? 'set up when the first machine starts, by' : 'not set up; an administrator has to run';
  return [`${device}, ${how}`, ...commands.map((command) => `  ${command}`)];
}

/** Null for a kind that has none, and for somebody who may only look on. */
async function deviceOf(session: Session, { id, kind }: NetworkStatus): Promise<NetworkDevice | null> {
  if (!hostKinds.includes(kind) || !(await mayManage(session))) return null;
  return session.client.call('network.device', { id });
}

const mayManage = async (session: Session): Promise<boolean> => (await session.client.call('access.me', {})).role === 'manage';

function networkText(network: NetworkStatus, names: Map<string, string>, device: NetworkDevice | null): string {
  const lines = [
    `${network.name} (${network.id})`,
    `kind     ${network.kind}`,
    `state    ${network.state}${network.error ? `: ${network.error.message}` : ''}`,
    ...(network.subnet === null
      ? [`bridge   ${network.bridge}`]
      : [
          `subnet   ${network.subnet}`,
          network.kind === 'nat' || !network.gateway ? `gateway  ${network.gateway ?? 'none'}` : `here     ${network.gateway}`,
          `DHCP     ${rangeText(network.dhcp)}`,
          ...(network.boot ? [`boot     ${bootText(network.boot)}`] : []),
        ]),
  ];
  if (device) lines.push(...deviceText(device).map((each) => `device   ${each}`));
  if (network.description) lines.push(`about    ${network.description}`);
  for (const { vmName, card, mac, address: has, connected } of network.members)
    lines.push(`machine  ${vmName} ${card} ${mac} ${has ?? 'no address yet'}${connected ? '' : ' (not connected)'}`);
  for (const forward of network.forwards) lines.push(`forward  ${forwardText(forward, names.get(forward.vm) ?? 'a machine that is gone')}`);
  for (const { id, error } of network.forwardProblems) lines.push(`problem  ${id}: ${error.message}${error.fix ? `. ${error.fix}` : ''}`);
  return lines.join('\n');
}

const dhcpOptions = (command: Command): Command =>
  command
    .option('--dhcp <from-to>', 'addresses given to machines, as 10.7.0.128-10.7.0.254', range)
    .option('--no-dhcp', 'give none')
    .option('--boot <file>', 'what machines start from: a file of the --tftp folder, or a URL; of NAT networks')
    .option('--boot-uefi <file>', 'the same for machines with UEFI, where theirs is another; none for the same')
    .option('--tftp <folder>', 'machines can read the files of it by TFTP')
    .option('--no-boot', 'hand out nothing to start from')
    .option('--description <text>', 'what it is for');

interface Given {
  subnet?: string;
  bridge?: string;
  /** False: none are given. */
  dhcp?: Range | false;
  /** False: nothing is handed out. */
  boot?: string | false;
  bootUefi?: string;
  tftp?: string;
  description?: string;
}

/** What machines start from: undefined where nothing was said of it. What is only said in part stays as it was. */
function bootSource({ boot, bootUefi, tftp }: Given, before: BootSource | null): BootSource | null | undefined {
  if (boot === undefined && bootUefi === undefined && tftp === undefined) return undefined;
  if (boot === false) {
    if (tftp === undefined && bootUefi === undefined) return null;
    const other = tftp === undefined ? '--boot-uefi' : '--tftp';
    throw new HypervueError('invalid-argument', `${other} and --no-boot exclude each other`, {}, 'Leave one of them out.');
  }
  const file = boot ?? before?.file;
  if (file === undefined)
    throw new HypervueError(
      'invalid-argument',
      tftp === undefined ? '--boot-uefi is for machines with UEFI only' : '--tftp is a folder of what is started',
      {},
      tftp === undefined ? 'Name what others start with --boot.' : 'Name the file in it with --boot.',
    );
  // A URL is read without a folder.
  const uefiFile = bootUefi === 'none' ? undefined : (bootUefi ?? before?.uefiFile);
  const kept = bootFiles({ file, uefiFile }).every(isBootUrl) ? null : (before?.folder ?? null);
  const source = { file, ...(uefiFile === undefined ? {} : { uefiFile }), folder: tftp === undefined ? kept : path.resolve(tftp) };
  if (bootSourceSchema.safeParse(source).success) return source;
  throw new HypervueError(
    'invalid-argument',
    `--boot and --boot-uefi take a name of 1 to ${MAX_BOOT_FILE} bytes`,
    {},
    'Give a shorter one.',
  );
}

function addForwards(network: Command, run: RunSession): void {
  const forward = network.command('forward').description('ports of this computer that lead to machines');
  forward
    .command('list <network>')
    .description('forwards, and what keeps one from working')
    .action((wanted: string) =>
      run(true, async (session) => {
        const found = await networkOf(session, wanted);
        const names = await machineNames(session);
        session.print({ forwards: found.forwards, problems: found.forwardProblems }, ({ forwards, problems }) =>
          forwards.length
            ? table(
                ['ID', 'PROTOCOL', 'HERE', 'MACHINE', 'CARD', 'PORT', 'PROBLEM'],
                forwards.map((each) => [
                  each.id,
                  each.protocol,
                  `${each.hostAddress}:${each.hostPort}`,
                  names.get(each.vm) ?? '-',
                  each.card,
                  String(each.guestPort),
                  problems.find(({ id }) => id === each.id)?.error.message ?? '-',
                ]),
              )
            : `Nothing is forwarded into ${found.name}. Add one with \`hypervue network forward add\`.`,
        );
        return found.forwardProblems.length ? EXIT_ERROR : EXIT_OK;
      }),
    );
  forward
    .command('add')
    .argument('<network>')
    .argument('<machine>')
    .argument('<ports>', "this computer's and the machine's, as 2222:22", ports)
    .description('connections to a port of this computer go on to a machine')
    .option('--udp', 'datagrams instead of TCP')
    .addOption(new Option('--card <card>', 'of the machine').choices(netPlaces).default('net0'))
    .option('--address <address>', 'of this computer; 0.0.0.0 lets other computers in', address, '127.0.0.1')
    .option('--description <text>', 'what it is for', '')
    .action(
      (
        wanted: string,
        machine: string,
        both: ReturnType<typeof ports>,
        options: { udp?: true; card: NetPlace; address: string; description: string },
      ) =>
        run(true, async (session) => {
          const found = await networkOf(session, wanted);
          const { id: vm, name } = await session.machine(machine);
          const protocol = options.udp ? 'udp' : 'tcp';
          const base = `${protocol}-${both.hostPort}`;
          let id = base;
          for (let number = 2; found.forwards.some((each) => each.id === id); number++) id = `${base}-${number}`;
          const { card, description } = options;
          const made: PortForward = { id, protocol, hostAddress: options.address, ...both, vm, card, description };
          await session.client.call('network.update', { id: found.id, patch: { forwards: [...found.forwards, made] } });
          session.print(made, (each) => forwardText(each, name));
        }),
    );
  forward
    .command('remove <network> <forward>')
    .description('by its id')
    .action((wanted: string, id: string) =>
      run(true, async (session) => {
        const found = await networkOf(session, wanted);
        if (!found.forwards.some((each) => each.id === id))
          throw new HypervueError(
            'not-found',
            `there is no forward ${id} in ${found.name}`,
            { object: id },
            `See \`hypervue network forward list ${found.id}\`.`,
          );
        const forwards = found.forwards.filter((each) => each.id !== id);
        session.print(await session.client.call('network.update', { id: found.id, patch: { forwards } }), () => '');
      }),
    );
  for (const command of forward.commands) command.exitOverride().option('--json', 'as JSON');
}

/** `hypervue network …`: what machines' cables lead to. */
export function addNetworkCommand(program: Command, run: RunSession): void {
  const network = program.command('network').description('networks that machines are on, by name or id');
  network
    .command('list')
    .description('networks with their machines')
    .action(() =>
      run(true, async (session) => {
        session.print(await session.client.call('network.list', {}), (networks) =>
          table(
            ['ID', 'NAME', 'KIND', 'SUBNET', 'STATE', 'MACHINES'],
            networks.map((each) => [
              each.id,
              each.name,
              each.kind,
              each.subnet ?? `on ${each.bridge}`,
              each.state,
              [...new Set(each.members.map(({ vmName }) => vmName))].join(', ') || '-',
            ]),
          ),
        );
      }),
    );
  network
    .command('info <network>')
    .description('addresses, machines, forwards and problems')
    .action((wanted: string) =>
      run(true, async (session) => {
        const found = await networkOf(session, wanted);
        const names = await machineNames(session);
        const device = await deviceOf(session, found);
        session.print({ ...found, ...(device ? { device } : {}) }, (each) => networkText(each, names, device));
      }),
    );
  dhcpOptions(
    network
      .command('create')
      .argument('<name>')
      .description('another network')
      .addOption(
        new Option(
          '--kind <kind>',
          'nat leads out, isolated nowhere, host-only to this computer, routed through it, bridged to its own network',
        )
          .choices(networkKinds)
          .default('nat'),
      )
      .option('--subnet <network>', 'its addresses, as 10.7.0.0/24; free ones unless given', subnet)
      .option('--bridge <interface>', 'of this computer, for a bridged one; see `hypervue network bridges`', interfaceName),
  ).action((name: string, { kind, subnet: wanted, bridge, dhcp, description = '', ...start }: Given & { kind: NetworkKind }) =>
    run(true, async (session) => {
      // Who is on a bridge gets addresses where this computer does; what is asked for all the same is refused by the manager.
      const foreign = kind === 'bridged' && wanted === undefined && !dhcp;
      const net = foreign ? null : (wanted ?? unusedSubnet(await session.client.call('network.list', {})));
      const usual = net === null ? null : usualRange(parseSubnet(net));
      const made = await session.client.call('network.create', {
        name,
        kind,
        description,
        subnet: net,
        bridge: bridge ?? null,
        dhcp: dhcp === undefined ? usual : dhcp || null,
        forwards: [],
        boot: bootSource(start, null) ?? null,
      });
      session.print(made, line);
    }),
  );
  dhcpOptions(
    network
      .command('set')
      .argument('<network>')
      .description('change one; addresses only while no machine that is on has it, the rest applies at once')
      .option('--name <name>', 'another name')
      .option('--subnet <network>', 'other addresses', subnet)
      .option('--bridge <interface>', 'another bridge of this computer', interfaceName),
  ).action((wanted: string, { name, subnet: net, bridge, dhcp, description, ...start }: Given & { name?: string }) =>
    run(true, async (session) => {
      const found = await networkOf(session, wanted);
      const boot = bootSource(start, found.boot);
      const patch: NetworkPatch = {
        ...(boot === undefined ? {} : { boot }),
        ...(name === undefined ? {} : { name }),
        ...(description === undefined ? {} : { description }),
        ...(net === undefined ? {} : { subnet: net }),
        ...(bridge === undefined ? {} : { bridge }),
      };
      if (dhcp === false) patch.dhcp = null;
      else if (dhcp) patch.dhcp = dhcp;
      // The addresses that were given lie in the network that was.
      else if (net !== undefined && found.dhcp) patch.dhcp = usualRange(parseSubnet(net));
      session.print(await session.client.call('network.update', { id: found.id, patch }), line);
    }),
  );
  network
    .command('delete <network>')
    .description('refused while a machine has it')
    .action((wanted: string) =>
      run(true, async (session) => {
        const found = await networkOf(session, wanted);
        const device = await deviceOf(session, found);
        const left = device?.rights === 'none' ? device.undo : [];
        await session.client.call('network.delete', { id: found.id });
        session.print({ left }, () => (left.length ? `Its interface is still there. As root: ${left.join('; ')}` : ''));
      }),
    );
  network
    .command('setup <network>')
    .description('make the interface of a host-only, routed or bridged network; run when the first machine starts where there are rights')
    .action((wanted: string) =>
      run(true, async (session) => {
        const { id } = await networkOf(session, wanted);
        session.print(await session.client.call('network.setUp', { id }), (each) => deviceText(each).join('\n'));
      }),
    );
  network
    .command('bridges')
    .description('bridges of this computer that bridged networks can be on')
    .action(() =>
      run(true, async (session) => {
        session.print(await session.client.call('network.bridges', {}), (bridges) =>
          bridges.length
            ? table(
                ['BRIDGE', 'STATE', 'PORTS', 'ADDRESSES'],
                bridges.map(({ device, up, ports: inIt, addresses }) => [
                  device,
                  up ? 'up' : 'down',
                  inIt.join(', ') || '-',
                  addresses.join(', ') || '-',
                ]),
              )
            : 'This computer has no bridge.',
        );
      }),
    );
  for (const command of network.commands) command.exitOverride().option('--json', 'as JSON');
  addForwards(network, run);
  addBridges(network, run);
}
