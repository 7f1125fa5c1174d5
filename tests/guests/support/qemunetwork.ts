import { type ChildProcess, spawn } from 'node:child_process';
import { connect, createServer, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { frameRecord, messageRecord, WireReader } from '../../../core/net/wire.ts';
import { FAST_BOOT, linuxKernel } from './images.ts';
import { networkInitramfs } from './networkinitramfs.ts';

/** What becomes of a frame on its way: nothing of it, it, or it and others that were held back. */
export type Disturbance = (frame: Uint8Array) => readonly Uint8Array[];
const quiet: Disturbance = (frame) => [frame];

/**
 * Between QEMU's `-netdev stream`, which sends frames after their length (32 bits, big endian), and the socket of a network: a cable whose frames can be lost or
 * come in another order.
 */
export class QemuCable {
  toGuest: Disturbance = quiet;
  toNetwork: Disturbance = quiet;
  private readonly server: Server;
  private qemu: Socket | undefined;
  private network: Socket | undefined;

  constructor(listen: string, network: string, member: { vm: string; card: string; mac: string }) {
    this.server = createServer((qemu) => this.join(qemu, network, member));
    this.server.listen(listen);
  }

  close(): void {
    this.server.close();
    this.qemu?.destroy();
    this.network?.destroy();
  }

  private join(qemu: Socket, place: string, member: { vm: string; card: string; mac: string }): void {
    const network = connect(place);
    this.qemu = qemu;
    this.network = network;
    for (const socket of [qemu, network]) socket.on('error', () => this.close());
    network.write(messageRecord({ type: 'hello', ...member }));
    const reader = new WireReader({
      frame: (frame) => {
        qemu.cork();
        for (const each of this.toGuest(frame)) {
          const head = Buffer.alloc(4);
          head.writeUInt32BE(each.length);
          qemu.write(head);
          qemu.write(each);
        }
        process.nextTick(() => qemu.uncork());
      },
      message: () => {},
    });
    network.on('data', (chunk) => {
      reader.push(chunk);
      // A guest that is slow holds the network up, as a card without room does.
      if (qemu.writableNeedDrain) {
        network.pause();
        qemu.once('drain', () => network.resume());
      }
    });
    let rest: Buffer = Buffer.alloc(0);
    qemu.on('data', (chunk: Buffer) => {
      rest = rest.length ? Buffer.concat([rest, chunk]) : chunk;
      let at = 0;
      while (rest.length - at >= 4 && rest.length - at - 4 >= rest.readUInt32BE(at)) {
        const length = rest.readUInt32BE(at);
        for (const each of this.toNetwork(rest.subarray(at + 4, at + 4 + length))) network.write(frameRecord(each));
        at += 4 + length;
      }
      rest = rest.subarray(at);
      if (network.writableNeedDrain) {
        qemu.pause();
        network.once('drain', () => qemu.resume());
      }
    });
  }
}

/** Linux 6.1 with busybox under QEMU, driven at its serial console. */
export class QemuGuest {
  output = '';
  private readonly child: ChildProcess;
  private marks = 0;

  constructor(folder: string, mac: string) {
    this.child = spawn(
      'qemu-system-x86_64',
      [
        ...['-M', 'pc', '-m', '256', '-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot', '-serial', 'stdio'],
        ...['-kernel', linuxKernel('amd64'), '-initrd', networkInitramfs()],
        ...['-append', `console=ttyS0 quiet mitigations=off ${FAST_BOOT}`],
        ...['-netdev', `stream,id=n0,server=off,addr.type=unix,addr.path=${path.join(folder, 'qemu.sock')}`],
        ...['-device', `virtio-net-pci,netdev=n0,mac=${mac},csum=off,guest_csum=off`],
      ],
      { stdio: ['pipe', 'pipe', 'pipe'] },
    );
    const hear = (chunk: Buffer) => {
      this.output += chunk.toString('latin1');
    };
    this.child.stdout!.on('data', hear);
    this.child.stderr!.on('data', hear);
  }

  /** Resolves with the output up to `wanted`. Rejects when it does not come. */
  async until(wanted: string, from = 0, seconds = 240): Promise<string> {
    const end = Date.now() + seconds * 1000;
    for (;;) {
      const at = this.output.indexOf(wanted, from);
      if (at >= 0) return this.output.slice(from, at);
      if (this.child.exitCode !== null) throw new Error(`QEMU ended: ${this.output.slice(-2000)}`);
      if (Date.now() > end) throw new Error(`no "${wanted}" in ${seconds} s: ${this.output.slice(-2000)}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async boot(): Promise<void> {
    await this.until('GUEST READY');
    await this.run('stty -echo; /network/load');
  }

  /** Runs a line in the guest's shell; resolves with what it printed. */
  async run(line: string, seconds = 240): Promise<string> {
    const mark = `MARK-${++this.marks}`;
    const from = this.output.length;
    // The mark as typed must not look like the mark that is printed.
    this.child.stdin!.write(`${line}; echo MA""RK-${this.marks}.$?.\n`);
    const said = await this.until(`${mark}.`, from, seconds);
    return said.replaceAll('\r', '').replace(/^.*echo MA""RK.*\n/m, '');
  }

  async close(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    await ended;
  }
}
