/** One guest under v86, started by tests/bench/support/emulators.ts: `v86guest.ts KERNEL INITRD CMDLINE MIB`. COM1 goes to standard output. */
import { readFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const build = path.join(root, 'node_modules/v86/build');
const [kernel, initrd, cmdline, mebibytes] = process.argv.slice(2) as [string, string, string, string];

/** v86 wants an ArrayBuffer that holds the file and nothing else. */
function buffer(file: string): ArrayBuffer {
  const bytes = readFileSync(file);
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer;
}

const { V86 } = await import(path.join(build, 'libv86.mjs'));
const emulator = new V86({
  wasm_path: path.join(build, 'v86.wasm'),
  memory_size: Number(mebibytes) * 2 ** 20,
  vga_memory_size: 2 ** 23,
  bios: { buffer: buffer(path.join(root, 'resources/firmware/bios-256k.bin')) },
  vga_bios: { buffer: buffer(path.join(root, 'resources/firmware/vgabios-stdvga.bin')) },
  bzimage: { buffer: buffer(kernel) },
  initrd: { buffer: buffer(initrd) },
  cmdline,
  autostart: true,
  log_level: 0,
});
const byte = new Uint8Array(1);
emulator.add_listener('serial0-output-byte', (value: number) => {
  byte[0] = value;
  writeSync(1, byte);
});
