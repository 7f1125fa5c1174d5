import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { findNetworkRom } from '../../core/platform/firmware.ts';
import { lettered, orders } from './support/bootorders.ts';
import { Guest, type GuestOptions } from './support/guest.ts';

/** SeaBIOS with `bootorder`, HALT and `etc/boot-menu-wait`: disks on every bus whose boot sector says which one it is. */
const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-order-'));
let guest: Guest | undefined;

const ipxe = findNetworkRom('', 'e1000', 'bios') !== undefined;
if (!ipxe) console.log('skipped: a network card in the boot menu needs iPXE (Debian: apt-get install ipxe-qemu)');

afterEach(async () => {
  await guest?.end();
  guest = undefined;
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A disk that writes "=X=" and stops. */
function disk(letter: string): string {
  const bytes = new Uint8Array(1024 * 1024);
  // mov ah, 0Eh; then for each character: mov al, c; int 10h; cli; hlt
  const code = [0xb4, 0x0e, ...[...`=${letter}=`].flatMap((c) => [0xb0, c.charCodeAt(0), 0xcd, 0x10]), 0xfa, 0xf4, 0xeb, 0xfd];
  bytes.set(code);
  bytes.set([0x55, 0xaa], 510);
  const file = path.join(folder, `${letter}.img`);
  writeFileSync(file, bytes);
  return file;
}
const machine = (options: GuestOptions) =>
  new Guest({
    memoryMiB: 16,
    usb: { tablet: false },
    drives: lettered(disk),
    ...options,
  }).start();

test.each(orders)('%j starts from %s', async (order, letter) => {
  guest = await machine({ order: [...order] });
  expect((await guest.onScreen(/=([IJSUVW])=/, 60_000))[1]).toBe(letter);
});

test('a drive that is not in the order is not tried', async () => {
  guest = await machine({ order: ['floppy'] });
  await guest.onScreen(/No bootable device/, 60_000);
  expect(guest.screen()).not.toMatch(/=[IJSUVW]=/);
});

test('the menu waits for its key and starts what is chosen, also what is not in the order', async () => {
  // A card in the order is in the menu, too, where there is iPXE for it.
  const card = { id: 'net0', model: 'e1000', mac: '52:54:00:00:00:01', socket: path.join(folder, 'nobody') } as const;
  guest = await machine({ order: ipxe ? ['ide0', 'net0'] : ['ide0'], menuSeconds: 40, ...(ipxe ? { network: [card] } : {}) });
  await guest.onScreen(/Press ESC for boot menu/, 60_000);
  await guest.vm.sendKeys(['escape']);
  await guest.onScreen(/Select boot device/, 30_000);
  if (ipxe) await guest.onScreen(/^\d\. iPXE/m, 10_000);
  // SeaBIOS leaves VirtIO disks that are not in the order alone.
  const line = await guest.until('the SATA disk in the menu', () => /^(\d)\. AHCI.*$/m.exec(guest!.screen()), 10_000);
  await guest.vm.sendKeys([line![1]!]);
  expect((await guest.onScreen(/=([IJSUVW])=/, 30_000))[1]).toBe('S');
});
