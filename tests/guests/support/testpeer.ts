import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { frameRecord, messageRecord, type WireMessage, WireReader } from '../../../core/net/wire.ts';

const PEER_MAC = [0x52, 0x54, 0x00, 0xfe, 0xed, 0x01];
const PEER_IP = [192, 168, 100, 1];

/** One that a guest finds at the other end of its cable, at 192.168.100.1: answers ARP and ICMP echo, and keeps the frames that it sees. */
export class TestPeer {
  readonly hellos: Extract<WireMessage, { type: 'hello' }>[] = [];
  /** ICMP echo requests answered. */
  echoes = 0;
  /** Longest IPv4 packet seen. */
  longest = 0;
  private readonly folder = mkdtempSync(path.join(tmpdir(), 'hypervue-peer-'));
  private readonly sockets = new Set<Socket>();
  private server: Server | undefined;

  get socket(): string {
    return path.join(this.folder, 'network');
  }

  async open(): Promise<this> {
    this.server = createServer((socket) => {
      this.sockets.add(socket);
      socket.on('close', () => this.sockets.delete(socket));
      socket.on('error', () => {});
      const reader = new WireReader({
        message: (message) => {
          if (message.type !== 'hello') return;
          this.hellos.push(message);
          socket.write(messageRecord({ type: 'ready' }));
        },
        frame: (frame) => {
          const answer = this.answer(frame);
          if (answer) socket.write(frameRecord(answer));
        },
      });
      socket.on('data', (chunk) => reader.push(chunk));
    });
    await new Promise<void>((resolve) => this.server!.listen(this.socket, resolve));
    return this;
  }

  /** Ends every connection; new ones are taken. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  async close(): Promise<void> {
    const { server } = this;
    if (server) {
      const closed = new Promise((resolve) => server.close(resolve));
      this.cut();
      await closed;
    }
    rmSync(this.folder, { recursive: true, force: true });
  }

  private answer(frame: Uint8Array): Uint8Array | undefined {
    const answer = Uint8Array.from(frame);
    const type = (frame[12]! << 8) | frame[13]!;
    answer.set(frame.subarray(6, 12), 0);
    answer.set(PEER_MAC, 6);
    if (type === 0x0806 && frame.length >= 42 && frame[21] === 1 && PEER_IP.every((byte, i) => frame[38 + i] === byte)) {
      answer[21] = 2;
      answer.set(PEER_MAC, 22);
      answer.set(PEER_IP, 28);
      answer.set(frame.subarray(22, 32), 32);
      return answer;
    }
    if (type !== 0x0800) return undefined;
    this.longest = Math.max(this.longest, (frame[16]! << 8) | frame[17]!);
    // An echo request in one piece.
    if (frame[23] !== 1 || frame[34] !== 8 || !PEER_IP.every((byte, i) => frame[30 + i] === byte)) return undefined;
    this.echoes++;
    answer.set(frame.subarray(30, 34), 26);
    answer.set(frame.subarray(26, 30), 30);
    answer[34] = 0;
    // The type's byte is eight less, so the checksum is as much more (RFC 1624).
    const sum = ((frame[36]! << 8) | frame[37]!) + 0x0800;
    const folded = (sum & 0xffff) + (sum >> 16);
    answer[36] = folded >> 8;
    answer[37] = folded & 0xff;
    return answer;
  }
}
