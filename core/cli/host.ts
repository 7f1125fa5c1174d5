import { Argument, type Command } from 'commander';
import type { Passthrough } from '../contract/passthrough.ts';
import {
  type GivenDisk,
  type HostBlockDevice,
  type HostDeviceList,
  type HostUsbDevice,
  type PciFunction,
  pciTitle,
} from '../contract/hostdevices.ts';
import { usbName } from '../contract/usb.ts';
import { readableBytes } from '../util/bytes.ts';
import { table } from './output.ts';
import type { RunSession } from './session.ts';

const sorts = ['pci', 'usb', 'block'] as const;
type Sort = (typeof sorts)[number];

/** What there is to know in one cell, `-` when that is nothing. */
const cell = (...words: (string | false | null)[]): string => words.filter(Boolean).join(', ') || '-';

const pciRow = (each: PciFunction): string[] => [
  each.iommuGroup === null ? '-' : String(each.iommuGroup),
  each.address,
  `${each.vendorId}:${each.deviceId}`,
  each.className || each.classId,
  cell([each.vendor, each.device].filter(Boolean).join(' ')),
  each.driver ?? '-',
  cell(
    each.bootVga && 'boot display',
    each.virtualFunctions && `${each.virtualFunctions.count} of ${each.virtualFunctions.total} virtual functions`,
    each.physicalFunction && `of ${each.physicalFunction}`,
  ),
];

const usbRow = (each: HostUsbDevice): string[] => [
  each.port === null ? `usb${each.bus}` : `${each.bus}-${each.port}`,
  usbName(each),
  cell([each.vendor, each.product].filter(Boolean).join(' ')),
  cell(each.serial),
  each.speedMbps === null ? '-' : `${each.speedMbps} Mbit/s`,
  each.drivers.join(', ') || '-',
  each.hub ? 'hub' : '-',
];

const blockRow = (each: HostBlockDevice, given: readonly GivenDisk[]): string[] => [
  each.path,
  each.kind,
  readableBytes(each.sizeBytes),
  cell(each.model),
  cell(each.serial),
  cell(
    each.system && 'system',
    each.mounts.length > 0 && `mounted at ${each.mounts.join(' and ')}`,
    each.swap && 'swap',
    each.holders.length > 0 && `held by ${each.holders.join(' and ')}`,
    each.readOnly && 'read-only',
    each.removable && 'removable',
    each.backingFile,
    ...given.filter(({ device }) => device === each.name).map(({ drive, machineName }) => `${drive} of ${machineName}`),
  ),
];

function tables(list: HostDeviceList, wanted: readonly Sort[]): string {
  // Null is above every number: without an IOMMU, by address.
  const groups = list.pci.toSorted((a, b) => (a.iommuGroup ?? Infinity) - (b.iommuGroup ?? Infinity) || a.address.localeCompare(b.address));
  const shown = {
    pci: () =>
      table(['group', 'address', 'id', 'class', 'device', 'driver', 'notes'], groups.map(pciRow)) +
      (list.pci.some(({ iommuGroup }) => iommuGroup !== null) ? '' : '\nNo IOMMU groups: the IOMMU is off, or there is none.'),
    usb: () => table(['place', 'id', 'device', 'serial', 'speed', 'driver', 'notes'], list.usb.map(usbRow)),
    block: () =>
      table(
        ['device', 'kind', 'size', 'model', 'serial', 'notes'],
        list.block.map((each) => blockRow(each, list.given)),
      ),
  };
  const words = { pci: 'PCI functions', usb: 'USB devices', block: 'block devices' };
  return wanted.map((sort) => (list[sort].length > 0 ? shown[sort]() : `This computer has no ${words[sort]}.`)).join('\n\n');
}

/** `lspci` leaves the domain out where it is 0000. */
const fullAddress = (address: string): string => (/^[0-9a-f]{2}:/i.test(address) ? `0000:${address}` : address).toLowerCase();

const states = { error: 'stop', warning: 'note', info: 'note' } as const;

function passthroughText({ device, along, checks }: Passthrough): string {
  const lines = checks.flatMap(({ ok, severity, message, fix, commands }) => [
    `${ok ? 'good' : states[severity]}  ${message}`,
    ...(fix ? [`      ${fix}`] : []),
    ...commands.map((command) => `        ${command}`),
  ]);
  return [pciTitle(device), ...along.map((each) => `  with ${pciTitle(each)}`), '', ...lines].join('\n');
}

/** `hypervue host …`: the computer that the machines are on. */
export function addHostCommand(program: Command, run: RunSession): void {
  const group = program.command('host').description('the computer that the machines are on');
  group
    .command('devices')
    .addArgument(new Argument('[sort]', 'these only').choices(sorts))
    .description('its PCI functions by IOMMU group, USB devices and block devices')
    .option('--json', 'as JSON')
    .action((sort: Sort | undefined) =>
      run(true, async (session) => {
        const list = await session.client.call('host.devices', {});
        if (sort === undefined) session.print(list, () => tables(list, sorts));
        else session.print(list[sort], () => tables(list, [sort]));
      }),
    );
  group
    .command('passthrough')
    .argument('<address>', 'of a PCI function, as in "hypervue host devices pci"')
    .description('what it takes to hand a PCI function to a guest; changes nothing')
    .option('--json', 'as JSON')
    .action((address: string) =>
      run(true, async (session) => {
        const found = await session.client.call('host.passthrough', { address: fullAddress(address) });
        session.print(found, () => passthroughText(found));
      }),
    );
}
