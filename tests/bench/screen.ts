import { createServer, connect, type Socket } from 'node:net';
import { socketChannel } from '../../core/platform/socketchannel.ts';
import * as P from '../../core/vnc/protocol.ts';
import { RfbClient } from '../../core/vnc/testing/rfbclient.ts';
import { benchGuest } from './support/guestimage.ts';
import { cpuSeconds } from './support/procstat.ts';
import { openProduct, seconds } from './support/product.ts';
import { Qemu } from './support/qemu.ts';
import { type Bench, fixed, type Row } from './support/report.ts';

/**
 * What an RFB server makes of the same changes: text that scrolls 20 lines a second, and a picture of 640 x 480 that changes all over ten
 * times a second (tests/bench/guest/screens.c). The same client asks both over TCP, with each encoding that noVNC or a plain viewer would choose.
 */
const SETTLE_SECONDS = 2;
const MEASURE_SECONDS = 5;
const RFB_BASE_PORT = 5900;

const ENCODINGS: Record<string, readonly number[]> = {
  tight: [P.ENCODING_COPYRECT, P.ENCODING_TIGHT, P.ENCODING_RAW, P.PSEUDO_DESKTOP_SIZE, P.PSEUDO_COMPRESS_0 + 2],
  zrle: [P.ENCODING_COPYRECT, P.ENCODING_ZRLE, P.ENCODING_RAW, P.PSEUDO_DESKTOP_SIZE],
  jpeg: [
    P.ENCODING_COPYRECT,
    P.ENCODING_TIGHT,
    P.ENCODING_RAW,
    P.PSEUDO_DESKTOP_SIZE,
    P.PSEUDO_JPEG_QUALITY_0 + 6,
    P.PSEUDO_COMPRESS_0 + 2,
  ],
};

function freePort(from: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', () => (from > 6400 ? reject(new Error('no free VNC port')) : freePort(from + 1).then(resolve, reject)));
    probe.listen(from, '127.0.0.1', () => probe.close(() => resolve(from)));
  });
}

async function open(port: number): Promise<Socket> {
  for (let attempt = 0; ; attempt++)
    try {
      return await new Promise<Socket>((resolve, reject) => {
        const socket = connect(port, '127.0.0.1', () => resolve(socket));
        socket.setNoDelay(true);
        socket.once('error', reject);
      });
    } catch (error) {
      // The listener comes a moment after the machine.
      if (attempt > 40) throw error;
      await seconds(0.25);
    }
}

interface Flow {
  frames: number;
  bytes: number;
  cpu: number;
}

/** A plain viewer: asks for the next change as soon as it has drawn the last. */
async function view(port: number, pid: number, encodings: readonly number[]): Promise<Flow> {
  const socket = await open(port);
  try {
    const client = new RfbClient(socketChannel(socket), { encodings });
    await client.connect();
    let stop = false;
    let failure: unknown;
    const loop = (async () => {
      client.request(false);
      while (!stop) {
        await client.update();
        client.request(true);
      }
    })().catch((error: unknown) => {
      if (!stop) failure = error;
    });
    await seconds(SETTLE_SECONDS);
    const before = { frames: client.updates, bytes: client.bytes, cpu: cpuSeconds(pid), at: performance.now() };
    await seconds(MEASURE_SECONDS);
    const elapsed = (performance.now() - before.at) / 1000;
    const flow = {
      frames: (client.updates - before.frames) / elapsed,
      bytes: (client.bytes - before.bytes) / elapsed,
      cpu: ((cpuSeconds(pid) - before.cpu) / elapsed) * 100,
    };
    stop = true;
    socket.destroy();
    await loop;
    if (failure) throw failure;
    return flow;
  } finally {
    socket.destroy();
  }
}

const kilobytes = (flow: Flow) => `${fixed(flow.bytes / 1000, 0)} kB/s`;
const frames = (flow: Flow) => `${fixed(flow.frames)} fps`;

async function scene(product: Awaited<ReturnType<typeof openProduct>>, mode: string, encodings: readonly string[]): Promise<Row[]> {
  const port = await freePort(RFB_BASE_PORT + 200);
  const machine = await product.machine(mode, mode, { listen: { type: 'tcp', host: '127.0.0.1', display: port - RFB_BASE_PORT } });
  const peerPort = await freePort(port + 1);
  const rows: Row[] = [];
  for (const name of encodings) {
    const own = await view(port, machine.pid, ENCODINGS[name]!);
    // With lossy encoding allowed, as our server does when the viewer asks for it.
    const qemu = new Qemu([
      '-kernel',
      benchGuest(),
      '-append',
      mode,
      '-m',
      '64',
      '-vnc',
      `127.0.0.1:${peerPort - RFB_BASE_PORT}${name === 'jpeg' ? ',lossy=on' : ''}`,
    ]);
    try {
      await qemu.onSerial(/bench guest/, 30_000);
      const peer = await view(peerPort, qemu.pid, ENCODINGS[name]!);
      rows.push({
        what: `screen: ${mode}, ${name}`,
        ours: `${kilobytes(own)}, ${frames(own)}`,
        peer: `${kilobytes(peer)}, ${frames(peer)}`,
        ratio: `${fixed(own.bytes / own.frames / (peer.bytes / peer.frames), 2)}x`,
        note: `bytes a frame; processor ${fixed(own.cpu, 0)} % beside ${fixed(peer.cpu, 0)} %`,
      });
    } finally {
      await qemu.end();
    }
  }
  return rows;
}

export const screen: Bench = async () => {
  const product = await openProduct();
  try {
    return [...(await scene(product, 'scroll', ['tight', 'zrle'])), ...(await scene(product, 'paint', ['tight', 'zrle', 'jpeg']))];
  } finally {
    await product.end();
  }
};
