import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { type NicModel, nicModels } from '../../core/contract/networks.ts';
import { cardScriptInitramfs } from '../guests/support/cardinitramfs.ts';
import { linuxKernel } from '../guests/support/images.ts';
import { emulators, watch } from './support/emulators.ts';
import { tcpLoadProgram } from './support/programs.ts';
import { Qemu } from './support/qemu.ts';
import { type Bench, fixed, type Row } from './support/report.ts';

/**
 * What a guest gets out of its network: TCP with a program of our own (tcpload.c) in Debian's Linux 6.1 for amd64, on both models of cards, through the gateway of a NAT network in a
 * process of its own, beside QEMU with TCG and its user network (`-netdev user`), one after the other with the same kernel and initramfs. The other ends are servers
 * on this computer's loopback; times are theirs, from the first byte to the last. The first run of each warms up.
 */
const MEBIBYTES = 128;
const ROUND_TRIPS = 2000;
const MEMORY_MIB = 256;
const LIMIT_MS = 300_000;
const MAC = '52:54:00:12:34:56';
/** QEMU's gateway is the loopback too; behind ours, in this bench, everything is. */
const places = { qemu: '10.0.2.2', ours: '198.51.100.7' } as const;
const COMMAND_LINE = 'console=ttyS0,115200 quiet mitigations=off cryptomgr.notests=1 rdinit=/card/go';

const lines = `for turn in 1 2; do
  /card/tcpload $far $down recv || echo BROKEN
  /card/tcpload $far $up send ${MEBIBYTES * 16} || echo BROKEN
  /card/tcpload $far $echo echo ${ROUND_TRIPS} || echo BROKEN
done
echo ALL DONE`;
const initrd = (folder: string, model: NicModel) => cardScriptInitramfs(folder, model, lines, [tcpLoadProgram()]);

type Job = 'down' | 'up' | 'echo';
type Measured = { [J in Job]: number };

/** A server for each job, and what they measured: milliseconds, those of the second run last. */
class Ends {
  readonly times: Measured = { down: Number.NaN, up: Number.NaN, echo: Number.NaN };
  private readonly servers: Server[] = [];

  async open(): Promise<{ [J in Job]: number }> {
    const data = Buffer.alloc(1 << 20, 0x5a);
    const down = await this.serve('down', (socket) => {
      let left = MEBIBYTES;
      const more = () => {
        while (left > 0) {
          left--;
          if (!socket.write(data)) return;
        }
        socket.end();
      };
      socket.on('drain', more);
      socket.resume();
      more();
    });
    const up = await this.serve('up', (socket) => socket.resume());
    const echo = await this.serve('echo', (socket) => socket.setNoDelay(true).on('data', (bytes: Buffer) => socket.write(bytes)));
    return { down, up, echo };
  }

  close(): void {
    for (const server of this.servers) server.close();
  }

  /** Its time is from the connection to its end, which a guest makes when it has all. */
  private async serve(job: Job, each: (socket: Socket) => void): Promise<number> {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      const begun = performance.now();
      socket.on('error', () => {});
      socket.on('end', () => {
        this.times[job] = performance.now() - begun;
        socket.end();
      });
      each(socket);
    });
    this.servers.push(server);
    server.listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    return (server.address() as AddressInfo).port;
  }
}

async function measured(side: keyof typeof places, boot: (cmdline: string) => Promise<string>): Promise<Measured> {
  const ends = new Ends();
  try {
    const ports = Object.entries(await ends.open()).map(([job, port]) => `${job}=${port}`);
    const serial = await boot(`${COMMAND_LINE} ${ports.join(' ')} far=${places[side]}`);
    if (serial.includes('BROKEN')) throw new Error(`a transfer failed: ${serial.slice(-500)}`);
    return ends.times;
  } finally {
    ends.close();
  }
}

async function ours(folder: string, model: NicModel): Promise<Measured> {
  const socket = path.join(folder, `${model}.sock`);
  const server = spawn(process.execPath, [fileURLToPath(new URL('support/networkserver.ts', import.meta.url)), socket, MAC], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    await new Promise((resolve, reject) => {
      server.stdout.once('data', resolve);
      server.once('exit', () => reject(new Error('the network ended')));
    });
    return await measured('ours', async (cmdline) => {
      const kernel = linuxKernel('amd64');
      const guest = emulators.ours(
        { width: 64, kernel, initrd: initrd(folder, model), cmdline, memoryMiB: MEMORY_MIB, card: { model, mac: MAC, socket } },
        'jit',
      );
      let serial = '';
      await watch(guest, LIMIT_MS, (text) => {
        serial += text;
        return serial.includes('ALL DONE');
      });
      return serial;
    });
  } finally {
    server.kill('SIGKILL');
  }
}

const peers = (folder: string, model: NicModel) =>
  measured('qemu', async (cmdline) => {
    const device = { virtio: 'virtio-net-pci', e1000: 'e1000' }[model];
    const qemu = new Qemu(
      [
        ...['-kernel', linuxKernel('amd64'), '-initrd', initrd(folder, model), '-append', cmdline, '-m', String(MEMORY_MIB)],
        ...['-netdev', 'user,id=n0', '-device', `${device},netdev=n0,mac=${MAC},romfile=`],
      ],
      64,
    );
    try {
      await qemu.onSerial(/ALL DONE/, LIMIT_MS);
      return qemu.serial;
    } finally {
      await qemu.end();
    }
  });

export const network: Bench = async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-network-'));
  try {
    const rows: Row[] = [];
    for (const model of nicModels) {
      const [peer, own] = [await peers(folder, model), await ours(folder, model)];
      const rate = (ms: number) => `${fixed(MEBIBYTES / (ms / 1000), 0)} MiB/s`;
      const trip = (ms: number) => `${fixed((ms / ROUND_TRIPS) * 1000, 0)} µs`;
      const row = (job: Job, what: string, text: (ms: number) => string): Row => ({
        what: `network, ${model}: ${what}`,
        ours: text(own[job]),
        peer: text(peer[job]),
        ratio: `${fixed(peer[job] / own[job], 2)}x`,
      });
      rows.push(
        row('down', `${MEBIBYTES} MiB to the guest`, rate),
        row('up', `${MEBIBYTES} MiB from the guest`, rate),
        row('echo', 'a byte there and back over TCP', trip),
      );
    }
    return rows;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
};
