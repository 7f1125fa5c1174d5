import { createServer } from 'node:net';
import { performance } from 'node:perf_hooks';
import type { VmStateName } from '../../../contract/vm.ts';
import { encodePng } from '../../../platform/png.ts';
import { asHypervueError, HypervueError } from '../../../util/errors.ts';
import type { FromVmProcess, ToVmProcess, VmCalls } from '../protocol.ts';

/**
 * A VM process without a machine, for tests of everything above: it keeps the protocol of ../protocol.ts to the letter, echoes serial input and what is
 * typed, and shows a picture that changes with its state. The kernel command line steers it:
 *   fake.die=<code>      exits with the code right after it runs
 *   fake.refuse          the start fails
 *   fake.deaf            never answers calls after the start, not even forceOff
 *   fake.ignore-power    the guest does not react to the power button
 *   fake.flood           serial0 sends bytes as fast as they are taken
 */
let state: VmStateName = 'off';
let cmdline = '';
let typed = '';
let cancelled = false;
const started = performance.now();

function send(message: FromVmProcess): void {
  process.send?.(message);
}

function setState(next: VmStateName): void {
  state = next;
  send({ type: 'state', state });
}

function end(): null {
  setState('off');
  setTimeout(() => process.exit(0), 20);
  return null;
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
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
}

const calls: { [K in keyof VmCalls]: (params: VmCalls[K]['params']) => Promise<VmCalls[K]['result']> } = {
  async start({ config, channelSocket }) {
    cmdline = config.boot.kernel?.cmdline ?? '';
    if (cmdline.includes('fake.refuse')) {
      setTimeout(() => process.exit(1), 50);
      throw new HypervueError('unsupported', 'the fake machine refuses to start', { object: config.name }, 'Change its command line.');
    }
    await listen(channelSocket);
    log(`fake machine ${config.name} with ${config.memoryMiB} MiB`);
    setState('running');
    send({ type: 'display', mode: { width: 720, height: 400, text: true, absolutePointer: false } });
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
    if (!cmdline.includes('fake.ignore-power')) setTimeout(end, 30);
    setState('stopping');
    return null;
  },
  forceOff: async () => end(),
  async screenshot({ maxWidth }) {
    const width = Math.min(maxWidth ?? 720, 720);
    const height = Math.round((width * 400) / 720);
    const pixels = new Uint32Array(width * height).fill(state === 'paused' ? 0x404040 : 0x0000aa + typed.length);
    return { width, height, png: encodePng({ width, height, pixels }) };
  },
  screenText: async () => ({ rows: ['fake machine', typed], cursor: { x: typed.length, y: 1 } }),
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
  async changeMedium({ drive, path }) {
    log(`${drive}: ${path ?? 'ejected'}`);
    return null;
  },
};

process.on('message', (message: ToVmProcess) => {
  if (cmdline.includes('fake.deaf') && message.call !== 'start') return;
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
      stats: { cpu: 0.01, instructionsPerSecond: 1000, diskReadBytes: 0, diskWriteBytes: 0, residentBytes, uptimeSeconds, viewers: 0 },
    });
}, 200).unref();
send({ type: 'ready' });
