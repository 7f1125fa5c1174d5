import path from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import {
  cardAt,
  driveAt,
  freeCardPlace,
  freeDrivePlace,
  MAX_PORTS,
  usualDiskBus,
  withDrive,
  withoutCard,
  withoutDrive,
} from '../contract/devices.ts';
import { isDevicePath } from '../contract/deviceuse.ts';
import { defaultNic } from '../contract/defaultnic.ts';
import { busOf, type DriveBus, driveBuses } from '../contract/drives.ts';
import { DEFAULT_NETWORK, macSchema, type NicModel, nicModels } from '../contract/networks.ts';
import { type DiskFormat, diskFormats, type Drive, type VmConfig, type VmPatch, type VmSummary } from '../contract/vm.ts';
import { usbName, type UsbSelector, usbSelectorSchema } from '../contract/usb.ts';
import { HypervueError } from '../util/errors.ts';
import { driveId } from './driveverbs.ts';
import { networkOf } from './network.ts';
import { table } from './output.ts';
import { readPassphrase } from './passphrase.ts';
import type { RunSession, Session } from './session.ts';
import { size } from './sizes.ts';

const refuse = (code: 'invalid-argument' | 'invalid-state' | 'not-found', message: string, object: string, fix: string) =>
  new HypervueError(code, message, { object, operation: 'device' }, fix);

const mac = (text: string): string => {
  const known = macSchema.safeParse(text.toLowerCase());
  if (!known.success) throw new InvalidArgumentError('must be the address of one card, as 52:54:00:12:34:56');
  return known.data;
};

/** The machine with a configuration that can be read. */
async function editable(session: Session, wanted: string): Promise<{ vm: VmSummary; config: VmConfig }> {
  const vm = await session.machine(wanted);
  if (vm.config) return { vm, config: vm.config };
  throw refuse('invalid-state', `the configuration of ${vm.name} can't be read`, vm.name, 'Mend it with `hypervue config edit`.');
}

async function change(session: Session, vm: VmSummary, patch: VmPatch): Promise<VmSummary> {
  return session.client.call('vm.update', { id: vm.id, patch });
}

const drivePart = (what: string, vm: VmSummary, id: string) =>
  `${vm.name}: ${what} ${id}${vm.runsWith ? `; it is there from the next start on${/^usb\d$/.test(id) ? `, or at once with \`hypervue device plug\`` : ''}` : ''}`;

/** A place for the drive. Throws 'invalid-state' where its bus is full. */
function placeFor(vm: VmSummary, config: VmConfig, bus: DriveBus | 'floppy', kind: Drive['kind']): Drive['id'] {
  if (kind === 'cdrom' && bus === 'virtio')
    throw refuse('invalid-argument', `a CD drive can not be attached to ${bus}`, vm.name, 'Use --bus ide, --bus sata or --bus usb.');
  const free = freeDrivePlace(config, bus, kind);
  if (free) return free;
  const other =
    kind === 'floppy'
      ? 'Remove one with `hypervue device remove`.'
      : 'Name another with --bus, or remove one with `hypervue device remove`.';
  throw refuse('invalid-state', `${vm.name} has no free place on its ${bus} bus`, vm.name, other);
}

/** How a disk image is written. Rejects with 'invalid-argument' for what a machine can't run from. */
async function formatOf(session: Session, file: string): Promise<DiskFormat> {
  const info = await session.client.call('host.inspectMedia', { path: file });
  const problem = info.problems.find(({ severity }) => severity === 'error');
  if (problem) throw refuse('invalid-argument', problem.message, file, problem.fix ?? 'Choose another image.');
  return info.format === 'qcow2' ? 'qcow2' : 'raw';
}

interface DiskOptions {
  size?: number;
  format?: DiskFormat;
  bus?: DriveBus;
  readonly?: true;
  encrypt?: true;
  passphraseFile?: string;
}

async function addDisk(session: Session, machine: string, image: string | undefined, options: DiskOptions): Promise<undefined> {
  if ((image === undefined) === (options.size === undefined))
    throw refuse(
      'invalid-argument',
      'a disk is an image or a new one',
      machine,
      'Name an image, or give --size for a new one, for example --size 20G.',
    );
  const { vm, config } = await editable(session, machine);
  const bus = options.bus ?? usualDiskBus(config);
  if (image === undefined) {
    if (options.readonly) throw refuse('invalid-argument', 'a new disk can not be read-only', machine, 'Leave out --readonly.');
    if (options.encrypt && options.passphraseFile === undefined)
      throw refuse('invalid-argument', 'an encrypted disk wants a passphrase', machine, 'Give a file with it: --passphrase-file FILE.');
    const format = options.format ?? (await session.client.call('settings.get', {})).defaultDiskFormat;
    const passphrase = options.encrypt ? { passphrase: readPassphrase(options.passphraseFile!) } : {};
    const made = await session.client.call('vm.addDisk', { id: vm.id, sizeBytes: options.size!, format, bus, ...passphrase });
    session.print(made, () => drivePart('new disk', made.machine, made.drive));
    return undefined;
  }
  if (options.encrypt || options.format)
    throw refuse(
      'invalid-argument',
      '--encrypt and --format are for new disks',
      machine,
      'Leave them out; what an image is, is in the image.',
    );
  const file = path.resolve(image);
  if (isDevicePath(file)) {
    const given = await session.client.call('vm.giveDevice', { id: vm.id, device: file, bus, readOnly: options.readonly ?? false });
    session.print(given, () => drivePart(`the device ${file} as disk`, given.machine, given.drive));
    return undefined;
  }
  const id = placeFor(vm, config, bus, 'disk');
  const format = await formatOf(session, file);
  const after = await change(session, vm, withDrive(config, { id, kind: 'disk', path: file, format, readOnly: options.readonly ?? false }));
  session.print({ machine: after, drive: id }, () => drivePart('disk', after, id));
  return undefined;
}

async function addRemovable(
  session: Session,
  machine: string,
  kind: 'cdrom' | 'floppy',
  image: string | undefined,
  { bus = 'ide', readonly }: { bus?: DriveBus; readonly?: true },
): Promise<undefined> {
  const { vm, config } = await editable(session, machine);
  const id = placeFor(vm, config, kind === 'floppy' ? 'floppy' : bus, kind);
  const file = image === undefined ? null : path.resolve(image);
  if (file !== null) await formatOf(session, file);
  const drive: Drive = { id, kind, path: file, format: 'raw', readOnly: kind === 'cdrom' || (readonly ?? false) };
  const after = await change(session, vm, withDrive(config, drive));
  session.print({ machine: after, drive: id }, () => drivePart(kind === 'cdrom' ? 'CD drive' : 'floppy drive', after, id));
  return undefined;
}

interface CardOptions {
  network?: string;
  nic?: NicModel;
  mac?: string;
  cable?: 'in' | 'out';
}

/** The network's id; null for `none`. */
const plugged = async (session: Session, wanted: string): Promise<string | null> =>
  wanted === 'none' ? null : (await networkOf(session, wanted)).id;

async function addCard(session: Session, machine: string, options: CardOptions): Promise<undefined> {
  const { vm, config } = await editable(session, machine);
  const id = freeCardPlace(config);
  if (!id)
    throw refuse('invalid-state', `${vm.name} has all the network cards it can have`, vm.name, 'Remove one with `hypervue device remove`.');
  const card = {
    id,
    model: options.nic ?? config.network[0]?.model ?? defaultNic(config.os),
    network: await plugged(session, options.network ?? DEFAULT_NETWORK),
    connected: options.cable !== 'out',
    ...(options.mac ? { mac: options.mac } : {}),
  };
  const after = await change(session, vm, { network: [...config.network, card] });
  session.print({ machine: after, card: id }, () => drivePart('network card', after, id));
  return undefined;
}

async function changeCard(session: Session, machine: string, id: string, options: CardOptions): Promise<undefined> {
  const { vm, config } = await editable(session, machine);
  const card = cardAt(config, id);
  if (!card) throw unknown(vm, id);
  const next = {
    ...card,
    ...(options.network === undefined ? {} : { network: await plugged(session, options.network) }),
    ...(options.nic === undefined ? {} : { model: options.nic }),
    ...(options.mac === undefined ? {} : { mac: options.mac }),
    ...(options.cable === undefined ? {} : { connected: options.cable === 'in' }),
  };
  const after = await change(session, vm, { network: config.network.map((each) => (each.id === id ? next : each)) });
  session.print({ machine: after, card: id }, () => {
    const { model, mac: address, network, connected } = cardAt(after.config!, id)!;
    const later = after.runsWith && (options.nic || options.mac) ? '; model and address change at its next start' : '';
    return `${after.name}: ${id} is ${address} (${model}) on ${network ?? 'no network'}${connected ? '' : ', its cable out'}${later}`;
  });
  return undefined;
}

const unknown = (vm: VmSummary, id: string) =>
  refuse(
    'not-found',
    `${vm.name} has no device ${id}`,
    vm.name,
    /^[\da-f]{4}:[\da-f]{4}$/i.test(id)
      ? `A USB device of this computer is taken back with \`hypervue device detach-usb ${vm.name} ${id}\`.`
      : `See \`hypervue device list ${vm.name}\`.`,
  );

async function remove(session: Session, machine: string, id: string, deleteImage: boolean): Promise<undefined> {
  const { vm, config } = await editable(session, machine);
  const drive = driveAt(config, id);
  const port = /^serial(\d)$/.exec(id);
  const lastPort = `serial${config.serial.length - 1}`;
  if (deleteImage && drive?.kind !== 'disk')
    throw refuse('invalid-argument', `${id} is no disk of ${vm.name}, so it has no image to delete`, vm.name, 'Leave out --delete-image.');
  if (deleteImage && drive?.path && isDevicePath(drive.path))
    throw refuse(
      'invalid-argument',
      `${id} of ${vm.name} is the device ${drive.path}, which has no image to delete`,
      vm.name,
      'Leave out --delete-image.',
    );
  let patch: VmPatch;
  if (drive) patch = withoutDrive(config, id);
  else if (id === 'usb' && config.usb) {
    const [first] = config.drives.filter((each) => busOf(each.id) === 'usb');
    if (first) throw refuse('invalid-state', `${first.id} is attached to the USB controller`, vm.name, `Remove ${first.id} first.`);
    patch = { usb: null };
  } else if (cardAt(config, id)) patch = withoutCard(config, id);
  else if (id === lastPort) patch = { serial: config.serial.slice(0, -1) };
  else if (port && Number(port[1]) < config.serial.length)
    throw refuse(
      'invalid-state',
      `${id} is not the last serial port, and the others would change their names`,
      vm.name,
      `Remove ${lastPort} first.`,
    );
  else throw unknown(vm, id);
  const image = drive?.path && deleteImage ? path.resolve(vm.folder, drive.path) : null;
  if (image && vm.state !== 'off')
    throw refuse(
      'invalid-state',
      `${vm.name} is not off, and its image may be in use`,
      vm.name,
      'Shut it down, or leave out --delete-image.',
    );
  const after = await change(session, vm, patch);
  const trash = image ? await session.client.call('storage.delete', { path: image }) : null;
  session.print({ machine: after, removed: id, trashId: trash?.trashId ?? null }, () =>
    [
      `${after.name}: ${id} is removed${after.runsWith ? ' from its next start on' : ''}`,
      ...(trash ? [`Its image is in the trash: hypervue trash restore ${trash.trashId}`] : drive?.path ? [`${drive.path} stays.`] : []),
    ].join('\n'),
  );
  return undefined;
}

/** `now`: what the machine is made of now. */
function describe(config: VmConfig, now: VmConfig): string[][] {
  return [
    ...config.drives.map(({ id, kind, path: file, format, readOnly }) => [
      id,
      kind,
      busOf(id),
      [
        file === null ? 'empty' : `${file}${kind === 'disk' ? ` (${format})` : ''}`,
        ...(readOnly && file !== null && kind !== 'cdrom' ? ['read-only'] : []),
        ...(driveAt(now, id) ? [] : ['from the next start on']),
      ].join(', '),
    ]),
    ...config.network.map(({ id, model, mac: address, network, connected }) => [
      id,
      'network card',
      model,
      `${address}, ${network ?? 'no network'}${connected ? '' : ', cable out'}`,
    ]),
    ...(config.usb ? [['usb', 'USB controller', 'xhci', config.usb.tablet ? 'with a tablet' : '']] : []),
    ...config.serial.map(({ type, path: file }, number) => [`serial${number}`, 'serial port', `COM${number + 1}`, file ?? type]),
  ];
}

const describeHostUsb = (device: UsbSelector): string[] => [
  usbName(device),
  'USB device',
  'xhci',
  [
    'of this computer',
    ...(device.bus === undefined ? [] : [`bus ${device.bus}`]),
    ...(device.port === undefined ? [] : [`port ${device.port}`]),
    ...(device.serial === undefined ? [] : [`serial ${device.serial}`]),
  ].join(', '),
];

interface PlugOptions {
  passphraseFile?: string;
}

/** Drives on USB, while the machine is on. */
async function plugDrive(session: Session, machine: string, id: string, { passphraseFile }: PlugOptions): Promise<undefined> {
  const vm = await session.machine(machine);
  const passphrase = passphraseFile === undefined ? {} : { passphrase: readPassphrase(passphraseFile) };
  const after = await session.client.call('vm.plugDrive', { id: vm.id, drive: driveId(id), ...passphrase });
  session.print(after, () => `${after.name}: ${id} is plugged in`);
  return undefined;
}

async function unplugDrive(session: Session, machine: string, id: string): Promise<undefined> {
  const vm = await session.machine(machine);
  const after = await session.client.call('vm.unplugDrive', { id: vm.id, drive: driveId(id) });
  session.print(after, () => `${after.name}: ${id} is pulled out; it is there again from the next start on`);
  return undefined;
}

interface UsbOptions {
  bus?: number;
  port?: string;
  serial?: string;
}

async function giveUsb(
  session: Session,
  machine: string,
  method: 'vm.usb.attach' | 'vm.usb.detach',
  wanted: string,
  options: UsbOptions,
): Promise<undefined> {
  const vm = await session.machine(machine);
  const [vendorId = '', productId = ''] = wanted.toLowerCase().split(':');
  const known = usbSelectorSchema.safeParse({ vendorId, productId, ...options });
  if (!known.success)
    throw refuse('invalid-argument', `${wanted} is no USB device`, vm.name, 'Name it as lsusb does, vendor and product: 046d:c52b.');
  const after = await session.client.call(method, { id: vm.id, device: known.data });
  session.print(after, () => `${after.name}: ${wanted} is ${method === 'vm.usb.attach' ? 'plugged in' : 'this computer’s again'}`);
  return undefined;
}

/** `tablet`: undefined when nobody said. */
async function addUsb(session: Session, machine: string, tablet: boolean | undefined): Promise<undefined> {
  const { vm, config } = await editable(session, machine);
  if (config.usb && tablet === undefined)
    throw refuse(
      'invalid-state',
      `${vm.name} has its USB controller already`,
      vm.name,
      'Say --tablet or --no-tablet to change what is on it.',
    );
  const after = await change(session, vm, { usb: { tablet: tablet ?? false } });
  session.print(after, () => drivePart('USB controller', after, tablet ? 'with a tablet' : 'without a tablet'));
  return undefined;
}

/** Adds `hypervue device`: drives, network cards, the USB controller and serial ports of a machine. */
export function addDeviceCommand(program: Command, run: RunSession): void {
  const device = program
    .command('device')
    .description(
      'drives, network cards, USB and serial ports of a machine; one that is on has them from its next start, drives on USB also at once',
    );
  device
    .command('list <machine>')
    .description('them all, with the names that the other commands take, and what the machine has of this computer’s USB devices now')
    .action((machine: string) =>
      run(true, async (session) => {
        const { vm, config } = await editable(session, machine);
        const { drives, network, usb, serial } = config;
        const hostUsb = await session.client.call('vm.usb.list', { id: vm.id });
        session.print({ drives, network, usb, serial, hostUsb }, () =>
          table(['DEVICE', 'KIND', 'ON', 'WHAT'], [...describe(config, vm.runsWith ?? config), ...hostUsb.map(describeHostUsb)]),
        );
        return undefined;
      }),
    );
  const bus = (text: string) => new Option('--bus <bus>', text).choices(driveBuses);
  device
    .command('add-disk <machine> [image]')
    .description(
      'a disk: an image that is there, used where it is, a device of this computer (/dev/…), or a new one in the machine’s folder',
    )
    .option('--size <size>', 'make a new one, for example 20G', size)
    .addOption(new Option('--format <format>', 'with --size; otherwise that of the settings').choices(diskFormats))
    .addOption(bus('what it is attached to; otherwise as the first disk is'))
    .option('--readonly', 'never write to the image')
    .option('--encrypt', 'with --size: encrypt it (LUKS, qcow2)')
    .option('--passphrase-file <file>', 'with --encrypt: its first line is the passphrase')
    .action((machine: string, image: string | undefined, options: DiskOptions) =>
      run(true, (session) => addDisk(session, machine, image, options)),
    );
  device
    .command('add-cdrom <machine> [image]')
    .description('a CD drive, empty or with an image in it')
    .addOption(bus('ide otherwise'))
    .action((machine: string, image: string | undefined, options: { bus?: DriveBus }) =>
      run(true, (session) => addRemovable(session, machine, 'cdrom', image, options)),
    );
  device
    .command('add-floppy <machine> [image]')
    .description('a floppy drive, empty or with an image in it')
    .option('--readonly', 'the floppy is write-protected')
    .action((machine: string, image: string | undefined, options: { readonly?: true }) =>
      run(true, (session) => addRemovable(session, machine, 'floppy', image, options)),
    );
  const card = (command: Command) =>
    command
      .option('--network <network>', 'id or name of what its cable leads to, or none')
      .addOption(new Option('--nic <model>', 'what it is for the guest').choices(nicModels))
      .option('--mac <address>', 'its hardware address', mac)
      .addOption(new Option('--cable <end>', 'whether it is plugged in').choices(['in', 'out']));
  card(device.command('add-card <machine>').description('a network card, on the default network unless another is named')).action(
    (machine: string, options: CardOptions) => run(true, (session) => addCard(session, machine, options)),
  );
  card(
    device.command('set-card <machine> <card>').description('change a network card; its network and its cable also while the machine runs'),
  ).action((machine: string, id: string, options: CardOptions) => run(true, (session) => changeCard(session, machine, id, options)));
  device
    .command('add-port <machine>')
    .description('a serial port, shown in the console')
    .action((machine: string) =>
      run(true, async (session) => {
        const { vm, config } = await editable(session, machine);
        if (config.serial.length >= MAX_PORTS)
          throw refuse('invalid-state', `${vm.name} has both serial ports already`, vm.name, 'See `hypervue device list`.');
        const after = await change(session, vm, { serial: [...config.serial, { type: 'console' }] });
        session.print(after, () => drivePart('serial port', after, `serial${config.serial.length}`));
        return undefined;
      }),
    );
  device
    .command('add-usb <machine>')
    .description('a USB 3 controller; --tablet also for one that is there')
    .option('--tablet', 'with a tablet on it: an exact pointer for systems that know no other')
    .option('--no-tablet', 'without one')
    .action((machine: string, { tablet }: { tablet?: boolean }) => run(true, (session) => addUsb(session, machine, tablet)));
  const usbDevice = (command: Command) =>
    command
      .option('--bus <bus>', 'number of the bus it is on, where several are alike', Number)
      .option('--port <port>', 'the ports on the way to it, for example 4.2')
      .option('--serial <number>', 'its serial number');
  usbDevice(
    device
      .command('attach-usb <machine> <vendor:product>')
      .description('give a USB device of this computer to a machine that is on (Linux)'),
  ).action((machine: string, wanted: string, options: UsbOptions) =>
    run(true, (session) => giveUsb(session, machine, 'vm.usb.attach', wanted, options)),
  );
  usbDevice(device.command('detach-usb <machine> <vendor:product>').description('take it back')).action(
    (machine: string, wanted: string, options: UsbOptions) =>
      run(true, (session) => giveUsb(session, machine, 'vm.usb.detach', wanted, options)),
  );
  device
    .command('plug <machine> <drive>')
    .description('plug a drive on USB, which the machine has from its next start on, in now')
    .option('--passphrase-file <file>', 'of an encrypted image: its first line is the passphrase')
    .action((machine: string, id: string, options: PlugOptions) => run(true, (session) => plugDrive(session, machine, id, options)));
  device
    .command('unplug <machine> <drive>')
    .description('pull a drive on USB out of a machine that is on; let the guest eject it first')
    .action((machine: string, id: string) => run(true, (session) => unplugDrive(session, machine, id)));
  device
    .command('remove <machine> <device>')
    .description('take it out of the machine; images stay')
    .option('--delete-image', 'of a disk: its image goes to the trash')
    .action((machine: string, id: string, options: { deleteImage?: true }) =>
      run(true, (session) => remove(session, machine, id, options.deleteImage ?? false)),
    );
  for (const command of device.commands) command.exitOverride().option('--json', 'as JSON');
}
