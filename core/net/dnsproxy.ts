/** Questions of guests go on to the name servers of the host, and their answers back, as they are (RFC 5625). */
import type { Disposable } from '../util/disposable.ts';
import type { HostDatagrams, HostNetwork } from './host.ts';

export const DNS_PORT = 53;
const MAX_PENDING = 512;
/** Each name server has this long. */
const PATIENCE_MS = 4000;
const HEADER_BYTES = 12;
const RESPONSE = 0x80;
const SERVER_FAILURE = 2;

interface Question {
  bytes: Uint8Array;
  reply(bytes: Uint8Array): void;
  socket: HostDatagrams | undefined;
  timer: Disposable | undefined;
}

export class DnsProxy {
  private readonly host: HostNetwork;
  private readonly pending = new Set<Question>();

  constructor(host: HostNetwork) {
    this.host = host;
  }

  ask(query: Uint8Array, reply: (bytes: Uint8Array) => void): void {
    // An answer is no question.
    if (query.length < HEADER_BYTES || query[2]! & RESPONSE) return;
    if (this.pending.size >= MAX_PENDING) return;
    const question: Question = { bytes: query.slice(), reply, socket: undefined, timer: undefined };
    this.pending.add(question);
    this.next(question, [...this.host.resolvers()]);
  }

  close(): void {
    for (const question of this.pending) this.done(question);
  }

  private next(question: Question, [server, ...others]: readonly { address: string; port: number }[]): void {
    question.socket?.close();
    question.socket = undefined;
    if (!server) {
      question.reply(failure(question.bytes));
      this.done(question);
      return;
    }
    const { bytes } = question;
    // A port of its own for every question, so that nobody can guess where an answer is waited for (RFC 5452 section 4.5).
    question.socket = this.host.datagrams(
      (answer, address, port) => {
        if (port !== server.port || address !== server.address || answer.length < HEADER_BYTES) return;
        if (answer[0] !== bytes[0] || answer[1] !== bytes[1] || !(answer[2]! & RESPONSE)) return;
        question.reply(answer);
        this.done(question);
      },
      server.address.includes(':') ? 6 : 4,
    );
    question.socket.send(bytes, server.address, server.port);
    question.timer = this.host.timer(PATIENCE_MS, () => this.next(question, others));
  }

  private done(question: Question): void {
    question.socket?.close();
    question.timer?.dispose();
    this.pending.delete(question);
  }
}

/** The question as an answer that says that no server could be asked. */
function failure(query: Uint8Array): Uint8Array {
  const answer = query.slice();
  answer[2] = answer[2]! | RESPONSE;
  answer[3] = (answer[3]! & 0x70) | 0x80 | SERVER_FAILURE;
  return answer;
}
