import { emptyStatistics } from '../../../cpu/statistics.ts';
import { rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { performance } from 'node:perf_hooks';
import { selectsUsb, usbName, type UsbSelector } from '../../../contract/usb.ts';
import type { VmStateName } from '../../../contract/vm.ts';
import { stampMedia } from '../../../platform/mediastamps.ts';
import { StateFileReader } from '../../../platform/statefilereader.ts';
import { StateFileWriter } from '../../../platform/statefilewriter.ts';
import { metaFromTree, metaToTree } from '../../../snapshot/machinestate.ts';
import { openImage } from '../../../platform/openimage.ts';
import type { Qcow2Image } from '../../../disk/qcow2/image.ts';
import { createSnapshot, deleteSnapshot, readSnapshots, revertToSnapshot } from '../../../disk/qcow2/snapshots.ts';
import { encodePng } from '../../../platform/png.ts';
import { asHypervueError, HypervueError } from '../../../util/errors.ts';
import { machineShape } from '../machineshape.ts';
import { type FromVmProcess, LAST_PICTURE_WIDTH, type ToVmProcess, type VmCalls, type VmProcessStart } from '../protocol.ts';

/**
 * A VM process without a machine, for tests of everything above: it keeps the protocol of ../protocol.ts to the letter, echoes serial input and what is
 * typed, and shows a picture that changes with its state. The kernel command line steers it:
 *   fake.die=<code>      exits with the code right after it runs
 *   fake.die-early=<code> exits with the code before it is ready to run
 *   fake.refuse          the start fails
 *   fake.refuse-hang     the start fails, and the process stays
 *   fake.hang            the start never ends
 *   fake.host-error      the guest's next write does not fit: the machine pauses and says why
 *   fake.chatty          writes 5000 log entries
 *   fake.deaf            never answers calls after the start, not even forceOff
 *   fake.ignore-power    the guest does not react to the power button
 *   fake.die-in-snapshot is killed when its disks have a snapshot and its state is half written
 *   fake.slow-save       states and snapshots are never done, until they are cancelled
 *   fake.no-save         there is no room for states and snapshots
 *   fake.flood           serial0 sends bytes as fast as they are taken
 */
let state: VmStateName = 'off';
let cmdline = '';
let machine: Pick<VmProcessStart, 'config' | 'folder'> | undefined;
let typed = '';
let cancelled = false;
let hostUsb: UsbSelector[] = [];
/** Serial number of a device that is pulled out once it was seen. */
const FLEETING_USB = 'fleeting';
const started = performance.now();

function send(message: FromVmProcess): void {
  process.send?.(message);
}

function setState(next: VmStateName, error?: HypervueError): void {
  state = next;
  send({ type: 'state', state, ...(error ? { error: error.toJSON() } : {}) });
}

function end(): null {
  send({ type: 'picture', png: picture(LAST_PICTURE_WIDTH).png });
  setState('off');
  setTimeout(() => process.exit(0), 20);
  return null;
}

function picture(maxWidth = 720): { width: number; height: number; png: Uint8Array } {
  const width = Math.min(maxWidth, 720);
  const height = Math.round((width * 400) / 720);
  const pixels = new Uint32Array(width * height).fill(state === 'paused' ? 0x404040 : 0x0000aa + typed.length);
  return { width, height, png: encodePng({ width, height, pixels }) };
}

function log(message: string): void {
  send({ type: 'log', entry: { time: new Date().toISOString(), level: 'info', scope: 'fake', message } });
}

/** Serial lines answer every byte; `rfb` greets as a server of RFC 6143 does. */
function listen(path: string): Promise<void> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    let kind = '';
    socket.on('data', (chunk) => {
      if (kind) {
        socket.write(chunk);
        return;
      }
      const line = chunk.indexOf(0x0a);
      kind = chunk.toString('latin1', 0, line);
      if (kind === 'rfb') socket.write('RFB 003.008\n');
      if (kind === 'serial0') socket.write('fake serial\r\n');
      if (kind === 'serial0' && cmdline.includes('fake.flood')) {
        const block = Buffer.alloc(65_536, 0x2e);
        const pump = () => {
          while (!socket.destroyed && socket.write(block));
        };
        socket.on('drain', pump);
        pump();
      }
      const rest = chunk.subarray(line + 1);
      if (rest.length) socket.write(rest);
    });
  });
  // What a process that was killed left behind.
  if (process.platform !== 'win32') rmSync(path, { force: true });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
}

/** What was typed is the whole memory of this machine. */
async function writeState(file: string): Promise<number> {
  const { config, folder } = machine!;
  const writer = await StateFileWriter.create(file);
  const media = await stampMedia(config.drives, folder);
  const paused = state === 'paused';
  const meta = { savedAt: new Date().toISOString(), machineName: config.name, paused, ramBytes: 0, vramBytes: 0, media };
  await writer.addTree('META', metaToTree({ ...meta, shape: machineShape(config) }));
  await writer.addTree('TREE', { typed });
  await writer.finish();
  await writer.commit();
  return writer.bytes;
}

async function eachDisk(disks: readonly string[], work: (image: Qcow2Image) => Promise<unknown>): Promise<void> {
  const { config, folder } = machine!;
  for (const { id, path: file, format } of config.drives) {
    if (!disks.includes(id)) continue;
    const image = await openImage(path.resolve(folder, file!), { readOnly: false, format });
    await work(image as Qcow2Image);
    await image.close();
  }
}

async function readState(file: string): Promise<{ typed: string; paused: boolean }> {
  const reader = await StateFileReader.open(file);
  try {
    const { paused } = metaFromTree(await reader.tree('META'), file);
    return { paused, ...((await reader.tree('TREE')) as { typed: string }) };
  } finally {
    await reader.close();
  }
}

let lastId = 0;
let stopSaving: (() => void) | undefined;

/** Takes as long as nobody cancels it. */
function slowly(): Promise<never> {
  const progress = setInterval(() => {
    for (let id = lastId; id > lastId - 5; id--) send({ type: 'progress', id, done: 40, total: 100 });
  }, 20);
  return new Promise((_, reject) => {
    stopSaving = () => {
      clearInterval(progress);
      reject(new HypervueError('cancelled', 'saving was cancelled', {}));
    };
  });
}

const calls: { [K in keyof VmCalls]: (params: VmCalls[K]['params']) => Promise<VmCalls[K]['result']> } = {
  async start({ config, folder, channelSocket, restore }) {
    cmdline = config.boot.kernel?.cmdline ?? '';
    machine = { config, folder };
    const dieEarly = /fake\.die-early=(\d+)/.exec(cmdline);
    if (dieEarly) {
      process.stderr.write('fake early failure\n');
      process.exit(Number(dieEarly[1]));
    }
    if (cmdline.includes('fake.hang')) return new Promise(() => {});
    if (cmdline.includes('fake.refuse')) {
      if (!cmdline.includes('fake.refuse-hang')) setTimeout(() => process.exit(1), 50);
      throw new HypervueError('unsupported', 'the fake machine refuses to start', { object: config.name }, 'Change its command line.');
    }
    await listen(channelSocket);
    log(`fake machine ${config.name} with ${config.memoryMiB} MiB`);
    let paused = false;
    if (restore) {
      ({ typed, paused } = await readState(restore.file));
      if (restore.consume) rmSync(restore.file);
    }
    setState(paused ? 'paused' : 'running');
    send({ type: 'display', mode: { width: 720, height: 400, text: true, absolutePointer: false, resizable: false } });
    if (cmdline.includes('fake.chatty')) for (let i = 0; i < 5000; i++) log(`entry ${i}`);
    if (cmdline.includes('fake.host-error'))
      setState(
        'paused',
        new HypervueError('no-space', '/x/disk.img could not grow: the disk of this computer is full', { path: '/x/disk.img' }),
      );
    const die = /fake\.die=(\d+)/.exec(cmdline);
    if (die) {
      process.stderr.write('fake failure\nit broke here\n');
      setTimeout(() => process.exit(Number(die[1])), 50);
    }
    return null;
  },
  async pause() {
    setState('paused');
    return null;
  },
  async resume() {
    setState('running');
    return null;
  },
  async reset() {
    typed = '';
    return null;
  },
  async shutdown() {
    // The state stays: the guest decides what the button means.
    if (!cmdline.includes('fake.ignore-power')) setTimeout(end, 30);
    return null;
  },
  async restart() {
    typed = '';
    return null;
  },
  forceOff: async () => end(),
  screenshot: async ({ maxWidth }) => picture(maxWidth),
  screenText: async () => ({
    rows: ['fake machine', typed],
    cursor: { x: typed.length, y: 1 },
    cell: { width: 9, height: 16 },
    columns: 80,
    picture: { width: 720, height: 400, top: 0 },
  }),
  viewers: async () => ({ viewers: [], holder: null, you: null }),
  setViewing: async () => null,
  async serialBreak({ port }) {
    typed += `<break ${port}>`;
    return null;
  },
  async typeText({ text, delayMs }) {
    cancelled = false;
    for (const character of text) {
      if (cancelled) throw new HypervueError('cancelled', 'typing was cancelled', { operation: 'type' });
      typed += character;
      if (delayMs) await new Promise((resolve) => setTimeout(resolve, delayMs));
    }
    return null;
  },
  async cancelTyping() {
    cancelled = true;
    return null;
  },
  async sendKeys({ keys }) {
    typed += `<${keys.join('+')}>`;
    return null;
  },
  async openGdb({ address }) {
    return { command: `target remote ${address.type === 'tcp' ? `127.0.0.1:${address.port}` : address.path}` };
  },
  closeGdb: async () => null,
  profile: async () => ({
    statistics: emptyStatistics('fake'),
    ports: [{ address: 0x80, reads: 0, writes: 3 }],
    mmio: [],
    seconds: 1,
    haltedSeconds: 0.5,
  }),
  async saveState({ file }) {
    if (cmdline.includes('fake.slow-save')) await slowly();
    if (cmdline.includes('fake.no-save')) throw new HypervueError('no-space', `${file} does not fit`, { path: file }, 'Make room.');
    await writeState(file);
    return end();
  },
  async snapshot({ stateFile, tag, disks }) {
    if (cmdline.includes('fake.no-save')) throw new HypervueError('no-space', `${tag} does not fit`, {}, 'Make room.');
    if (cmdline.includes('fake.slow-save')) await slowly();
    if (cmdline.includes('fake.die-in-snapshot')) {
      if (stateFile !== null) writeFileSync(`${stateFile}.cut.tmp`, 'half');
      await eachDisk(disks, (image) => createSnapshot(image, tag, { seconds: 1, nanoseconds: 0 }));
      process.kill(process.pid, 'SIGKILL');
    }
    log(`snapshot ${tag} of ${disks.join(', ')}`);
    await eachDisk(disks, (image) => createSnapshot(image, tag, { seconds: 1, nanoseconds: 0 }));
    if (stateFile === null) return { pauseMs: 1, stateBytes: 0, packable: false };
    return { pauseMs: 5, stateBytes: await writeState(stateFile), packable: true };
  },
  async cancelState() {
    stopSaving?.();
    return null;
  },
  async overlayDisk({ drive, file }) {
    const its = machine!.config.drives.find(({ id }) => id === drive)!;
    Object.assign(its, { path: file, format: 'qcow2' });
    return null;
  },
  async revert({ stateFile, tag, disks }) {
    if (cmdline.includes('fake.revert-anew'))
      throw new HypervueError('unsupported', 'the fake machine can not be reverted while it is on', { object: machine!.config.name });
    if (cmdline.includes('fake.revert-fails')) process.exit(9);
    const { typed: then, paused } = await readState(stateFile);
    await eachDisk(disks, (image) => revertToSnapshot(image, tag));
    typed = then;
    setState(paused ? 'paused' : 'running');
    return null;
  },
  async deleteDiskSnapshots({ tag, disks }) {
    log(`no snapshot ${tag} of ${disks.join(', ')}`);
    await eachDisk(disks, async (image) => {
      if ((await readSnapshots(image)).entries.some(({ name }) => name === tag)) await deleteSnapshot(image, tag);
    });
    return null;
  },
  async setDrivePolicy({ drive, policy }) {
    log(`${drive}: ${JSON.stringify(policy)}`);
    return null;
  },
  async growDisk({ drive, sizeBytes }) {
    log(`${drive}: ${sizeBytes} bytes`);
    return null;
  },
  async plugDrive({ drive, at }) {
    if (cmdline.includes('fake.no-plug')) throw new HypervueError('io-error', `the fake machine has no room for ${drive.id}`);
    log(`${drive.id} plugged in: ${drive.path}`);
    machine!.config.drives.splice(at, 0, drive);
    return null;
  },
  async unplugDrive({ drive }) {
    log(`${drive} pulled out`);
    machine!.config.drives = machine!.config.drives.filter(({ id }) => id !== drive);
    return null;
  },
  async plugCable({ card, socket }) {
    log(`${card}: ${socket ?? 'no cable'}`);
    return null;
  },
  async attachUsb({ device }) {
    log(`${usbName(device)} attached`);
    hostUsb = [...hostUsb, device];
    return null;
  },
  async detachUsb({ device }) {
    log(`${usbName(device)} detached`);
    hostUsb = hostUsb.filter((each) => !selectsUsb(device, each));
    return null;
  },
  async listUsb() {
    const seen = hostUsb;
    hostUsb = seen.filter(({ serial }) => serial !== FLEETING_USB);
    if (hostUsb.length < seen.length) setImmediate(() => send({ type: 'usbGone' }));
    return seen;
  },
  async changeMedium({ drive, path }) {
    log(`${drive}: ${path ?? 'ejected'}`);
    return null;
  },
};

process.on('message', (message: ToVmProcess) => {
  if (cmdline.includes('fake.deaf') && message.call !== 'start') return;
  lastId = message.id;
  (calls[message.call] as (params: unknown) => Promise<unknown>)(message.params).then(
    (result) => send({ type: 'result', id: message.id, result }),
    (error) => send({ type: 'error', id: message.id, error: asHypervueError(error, { operation: message.call }).toJSON() }),
  );
});
process.on('disconnect', () => process.exit(0));
setInterval(() => {
  const uptimeSeconds = (performance.now() - started) / 1000;
  const residentBytes = process.memoryUsage.rss();
  if (state === 'running')
    send({
      type: 'stats',
      stats: {
        cpu: 0.01,
        instructionsPerSecond: 1000,
        diskReadBytes: 0,
        diskWriteBytes: 0,
        netReceiveBytes: 0,
        netSendBytes: 0,
        residentBytes,
        uptimeSeconds,
        viewers: 0,
        deviceCalls: uptimeSeconds * 100,
        frames: uptimeSeconds,
      },
    });
}, 200).unref();
send({ type: 'ready' });
