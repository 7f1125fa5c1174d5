import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { networkSchema } from '../../contract/networks.ts';
import { type VmConfig, vmConfigSchema } from '../../contract/vm.ts';
import { createDisk } from '../../platform/creatediskfile.ts';
import { findFirmware, findUefi } from '../../platform/firmware.ts';
import { explain } from './explain.ts';

const QEMU = 'qemu-system-x86_64';
const qemu = spawnSync(QEMU, ['--version']).status === 0;
const START_MS = 20_000;
let folder: string;

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "hv explain, it's "));
  for (const name of ['a.img', 'cd.iso', 'fd.img', 'kernel']) {
    writeFileSync(path.join(folder, name), '');
    truncateSync(path.join(folder, name), 1_474_560);
  }
  await createDisk(path.join(folder, 'b, c.qcow2'), { format: 'qcow2', sizeBytes: 1024 * 1024 });
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const machine = (change: object = {}): VmConfig =>
  vmConfigSchema.parse({
    schema: 1,
    id: '01234567-89ab-4def-8123-456789abcdef',
    name: 'A, b & "c"',
    createdAt: '',
    cpu: { model: 'x86-64-v3' },
    memoryMiB: 64,
    boot: { order: ['cdrom', 'disk'] },
    drives: [],
    display: {},
    serial: [{ type: 'console' }, { type: 'none' }],
    ...change,
  });
const drives = [
  {
    id: 'ide0',
    kind: 'disk',
    path: 'a.img',
    format: 'raw',
    readOnly: false,
    cache: 'writethrough',
    limits: { iops: 100, bytesPerSecond: 1e6, burstSeconds: 2 },
  },
  { id: 'ide2', kind: 'cdrom', path: 'cd.iso', format: 'raw', readOnly: true },
  { id: 'sata3', kind: 'disk', path: 'b, c.qcow2', format: 'qcow2', readOnly: true, detectZeroes: true, writeErrors: 'stop-if-full' },
  { id: 'sata4', kind: 'cdrom', path: null, format: 'raw', readOnly: true },
  { id: 'fd0', kind: 'floppy', path: 'fd.img', format: 'raw', readOnly: true },
];
const parts = () => ({ folder, firmwareFolder: findFirmware('/none').folder, uefiImage: findUefi('/none').file, network });
const network = () =>
  networkSchema.parse({
    id: 'default',
    name: 'Default',
    kind: 'nat',
    subnet: '192.168.100.0/24',
    dhcp: { from: '192.168.100.128', to: '192.168.100.254' },
    forwards: [{ id: 'ssh', protocol: 'tcp', hostPort: 2222, vm: '01234567-89ab-4def-8123-456789abcdef', card: 'net0', guestPort: 22 }],
  });
const words = (config: VmConfig) => explain(config, parts()).options.flatMap((option) => option.words);

/** What QEMU's monitor says; '' when nobody is there. */
const ask = (socket: string): Promise<string> =>
  new Promise((resolve) => {
    let answer = '';
    const monitor = connect(socket, () => monitor.write('info qtree\nquit\n'));
    monitor.on('data', (data) => (answer += data));
    monitor.on('error', () => {});
    monitor.on('close', () => resolve(answer));
  });

/** Starts QEMU with these options, stopped, asks its monitor what it made of them, and ends it. */
async function run(args: string[]): Promise<{ stderr: string; tree: string }> {
  const socket = path.join(mkdtempSync(path.join(tmpdir(), 'hv-qemu-')), 'monitor');
  const child = spawn(QEMU, [...args, '-display', 'none', '-S', '-monitor', `unix:${socket},server=on,wait=off`], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stderr = '';
  child.stderr.on('data', (data) => (stderr += data));
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  let tree = '';
  try {
    const end = Date.now() + START_MS;
    // The socket is there before QEMU listens at it; one that ended over a wrong option says so on its standard error.
    while (tree === '' && child.exitCode === null && Date.now() < end) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      tree = await ask(socket);
    }
  } finally {
    child.kill('SIGKILL');
    await ended;
    rmSync(path.dirname(socket), { recursive: true, force: true });
  }
  return { stderr, tree };
}

describe.skipIf(!qemu)('QEMU takes what the machine is explained as', () => {
  const cases: [string, object, RegExp[]][] = [
    ['every bus', { drives, hpet: true }, [/dev: ide-hd/, /dev: ide-cd/, /dev: ich9-ahci/, /dev: floppy/, /dev: hpet/, /dev: VGA/]],
    ['virtio', { drives: [{ ...drives[0], id: 'virtio5' }] }, [/dev: virtio-blk-pci[\s\S]*addr = 0d\.0/]],
    ['a VirtIO display', { display: { model: 'virtio' } }, [/dev: virtio-vga[\s\S]*addr = 02\.0[\s\S]*class VGA controller, addr 00:02.0/]],
    [
      'network cards',
      {
        network: [
          { id: 'net0', model: 'virtio', mac: '52:54:00:00:00:01', network: 'default' },
          { id: 'net1', model: 'e1000', mac: '52:54:00:00:00:02', network: null },
          { id: 'net3', model: 'e1000', mac: '52:54:00:00:00:03', network: 'lab', connected: false },
        ],
      },
      [
        /class Ethernet controller, addr 00:03\.0, pci id 1af4:1041/,
        /class Ethernet controller, addr 00:05\.0, pci id 8086:100e/,
        /class Ethernet controller, addr 00:07\.0, pci id 8086:100e/,
        /netdev = "cable-net3"/,
        ...['01', '02', '03'].map((end) => new RegExp(`mac = "52:54:00:00:00:${end}"`)),
      ],
    ],
    [
      'USB',
      { usb: { tablet: true }, drives: [{ ...drives[0], id: 'usb3', readOnly: true }] },
      [/dev: qemu-xhci[\s\S]*addr = 10\.0/, /dev: usb-tablet[^:]*port = "1"/, /dev: usb-storage[^:]*port = "5"/],
    ],
    [
      'a USB CD drive',
      { usb: { tablet: false }, drives: [{ ...drives[0], id: 'usb0', kind: 'cdrom', path: null, format: 'raw' }] },
      [/dev: usb-bot[^:]*port = "2"[\s\S]*dev: scsi-cd/],
    ],
    ['i686', { cpu: { model: 'i686' } }, []],
    ['x86-64', { cpu: { model: 'x86-64' } }, []],
    ['x86-64-v2', { cpu: { model: 'x86-64-v2' } }, []],
    [
      'a menu, files and VNC',
      {
        boot: { order: ['ide0'], menu: true, menuSeconds: 5 },
        drives,
        serial: [{ type: 'file', path: 'x, y.log' }],
        display: { vramMiB: 5, listen: { type: 'unix', path: '/tmp/hv-explain-vnc.sock', password: 'x' } },
      },
      [/vgamem_mb = 8/],
    ],
    ['time by instructions', { timekeeping: 'instructions' }, []],
    ['local time', { clock: 'localtime' }, []],
  ];
  test.each(cases)('%s', async (_name, change, expected) => {
    const { stderr, tree } = await run(words(machine(change)));
    // A pseudo-terminal says its name, and nothing else is worth a word.
    expect(stderr.replace(/char device redirected to .*\n/g, '').trim()).toBe('');
    expect(tree).toContain('bus: main-system-bus');
    for (const pattern of expected) expect(tree).toMatch(pattern);
  });

  test.skipIf(!findUefi('/none').available)('UEFI', async () => {
    const { stderr, tree } = await run(words(machine({ firmware: 'uefi' })));
    expect([stderr.replace(/char device redirected to .*\n/g, ''), tree]).toEqual(['', expect.stringContaining('cfi.pflash01')]);
  });
});

test('the command is one for a shell: every word comes out as it went in', () => {
  const config = machine({ drives, boot: { order: [], kernel: { path: 'kernel', initrd: null, cmdline: `it's "$HOME" \`x\` \\n` } } });
  const { command, options } = explain(config, parts());
  const echoed = spawnSync('sh', ['-c', command.replace(QEMU, `printf '%s\\n'`)], { encoding: 'utf8' });
  expect(echoed.stdout.trimEnd().split('\n')).toEqual(options.flatMap((option) => option.words));
});

test('a network’s addresses and the forwards to the card are QEMU’s too', () => {
  const all = words(machine({ network: [{ id: 'net0', model: 'e1000', mac: '52:54:00:00:00:01', network: 'default' }] }));
  expect(all[all.indexOf('-netdev') + 1]).toBe(
    'user,id=cable-net0,net=192.168.100.0/24,dhcpstart=192.168.100.128,ipv6=off,hostfwd=tcp:127.0.0.1:2222-:22',
  );
});

test('what QEMU has nothing for is said', () => {
  const remarks = (change: object) => explain(machine(change), { ...parts(), encrypted: ['sata3'] }).remarks.join('\n');
  expect(remarks({})).toContain('kvmclock');
  expect(remarks({ paravirt: false })).not.toContain('kvmclock');
  expect(remarks({ display: { model: 'virtio' } })).toContain('8 MiB of video memory');
  expect(remarks({ display: { model: 'virtio', vramMiB: 8 } })).not.toContain('video memory');
  expect(remarks({ drives })).toContain('ide0 may use 2 s');
  expect(remarks({ display: { listen: { type: 'tcp', host: '127.0.0.1', display: 3, password: 'secret' } } })).toContain('set_password');
  const secret = explain(machine({ drives }), { ...parts(), encrypted: ['sata3'] });
  expect(secret.command).toContain('encrypt.key-secret=secret-sata3');
  expect(
    JSON.stringify(explain(machine({ display: { listen: { type: 'tcp', host: 'a', display: 0, password: 'secret' } } }), parts())),
  ).not.toContain('"secret"');
});

test('drives are tried in the machine’s order, and the others never', () => {
  const all = words(machine({ drives, boot: { order: ['sata3', 'cdrom'] } }));
  expect(all.filter((word) => word.includes('bootindex')).map((word) => word.replace(/^.*drive=|^ide-cd,bus=/, ''))).toEqual([
    'drive-ide2,bootindex=2',
    'drive-sata3,bootindex=1',
    'ahci.4,bootindex=3',
  ]);
  expect(all[all.indexOf('-boot') + 1]).toBe('menu=off,strict=on');
});

test('what a network hands out is QEMU’s to hand out, too', () => {
  const handing = { ...network(), boot: { file: 'boot.ipxe', folder: '/srv/a, b' } };
  const card = { id: 'net0', model: 'e1000', mac: '52:54:00:00:00:01', network: 'default' };
  const options = explain(machine({ network: [card] }), { ...parts(), network: () => handing }).options.flatMap(({ words: each }) => each);
  expect(options.find((word) => word.startsWith('user,'))).toContain(',tftp=/srv/a,, b,bootfile=boot.ipxe');
});

test('a card in the boot order has QEMU’s ROM and its place, another none', () => {
  const card = (id: string, model: string) => ({ id, model, mac: `52:54:00:00:00:0${id.at(-1)}`, network: 'default' });
  const all = words(
    machine({ drives, network: [card('net0', 'virtio'), card('net1', 'e1000')], boot: { order: ['ide0', 'net1', 'cdrom'] } }),
  );
  expect(all.find((word) => word.startsWith('e1000'))).toMatch(/^e1000,bootindex=2,netdev=cable-net1,/);
  expect(all.find((word) => word.startsWith('virtio-net'))).toMatch(/^virtio-net-pci,disable-legacy=on,romfile=,netdev=cable-net0,/);
  expect(all.find((word) => word.startsWith('ide-cd,bus=ide'))).toMatch(/bootindex=3$/);
});
