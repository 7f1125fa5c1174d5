/**
 * One gdb at the remote serial protocol (GDB manual, appendix E), all-stop, one thread. Registers, memory, breakpoints, watchpoints,
 * stepping, interrupting, `monitor` commands; physical memory with QEMU's `maint packet Qqemu.PhyMemMode:1`.
 *
 * Packets are answered one after the other. The client is not trusted: whatever it sends gets an answer of the protocol, an error or the
 * empty one, and nothing throws.
 */
import type { ByteChannel } from '../contract/transport.ts';
import { codeBits, type CpuState } from '../cpu/cpustate.ts';
import { type DebugStop, MAX_BREAKPOINTS, MAX_WATCHPOINTS, type Watchpoint } from '../cpu/debugcontrol.ts';
import type { DebugTarget } from './debugrequest.ts';
import { runMonitorCommand } from './monitor.ts';
import { encodePacket, fromHex, hexNumber, latin1, MAX_PACKET, PacketReader, toHex } from './packets.ts';
import { type GdbArchitecture, RegisterFile } from './registers.ts';

/** Packets held while one is being answered; more make the sender wait. */
const MAX_WAITING = 64;
/** What a gdb may say first: an acknowledgement, a packet, an interrupt. */
const GREETINGS: readonly number[] = [0x2b, 0x2d, 0x24, 0x03];
/** Most bytes one `m` may ask for: two hexadecimal digits each. */
const MAX_MEMORY = MAX_PACKET / 2 - 16;
/** Bytes searched by one qSearch. */
const MAX_SEARCH = 16 << 20;
const THREAD = '1';

const OK = 'OK';
/** Errors, as errno values. */
const E_INVALID = 'E16';
const E_FAULT = 'E0e';
const E_FULL = 'E1c';

const WATCH_KINDS: { readonly [type: string]: Watchpoint['kind'] } = { '2': 'write', '3': 'read', '4': 'access' };
const WATCH_REASONS = { write: 'watch', read: 'rwatch', access: 'awatch' } as const;

export interface GdbSessionOptions {
  channel: ByteChannel;
  target: DebugTarget;
  architecture: GdbArchitecture;
  /** The client went, or said goodbye. */
  onEnd?(): void;
}

interface Breakpoint {
  address: bigint;
  /** By Z0 and by Z1; both may be set at one address. */
  software: boolean;
  hardware: boolean;
}

export class GdbSession {
  private readonly channel: ByteChannel;
  private readonly target: DebugTarget;
  private readonly registers: RegisterFile;
  private readonly onEnd: () => void;
  private readonly reader = new PacketReader();
  /** Packets, and interrupts in their place among them: one may come in the same breath as the resume that it is to interrupt. */
  private readonly waiting: (Uint8Array | 'interrupt')[] = [];
  private readonly listeners: { dispose(): void }[] = [];
  private busy = false;
  private held = false;
  private greeted = false;
  private ended = false;
  private noAck = false;
  private lastSent: Uint8Array | undefined;
  /** A resume is under way whose stop reply gdb waits for. */
  private owesStop = false;
  private physical = false;
  private reportsSoftware = false;
  private reportsHardware = false;
  private lastStop: DebugStop | undefined;
  private readonly breakpoints = new Map<bigint, Breakpoint>();
  private watchpoints: Watchpoint[] = [];
  /** Until something may have changed it. */
  private cached: CpuState | undefined;
  /** The machine ran when the client came. */
  private ranBefore = false;

  constructor(options: GdbSessionOptions) {
    this.channel = options.channel;
    this.target = options.target;
    this.registers = new RegisterFile(options.architecture);
    this.onEnd = options.onEnd ?? (() => {});
  }

  /** Stops the machine, as gdb expects of a target that it attaches to, and begins to answer. */
  async start(): Promise<void> {
    this.ranBefore = this.target.running;
    await this.target.request({ op: 'attach' });
    this.listeners.push(
      this.target.onStopped((stop) => this.stopped(stop)),
      this.target.onEnded(() => this.machineEnded()),
    );
    this.channel.onClose(() => void this.end(this.ranBefore || this.owesStop));
    this.channel.onData((bytes) => this.receive(bytes));
  }

  /** Ends the session: breakpoints go; the guest goes on when `resume`. */
  async end(resume: boolean): Promise<void> {
    if (this.ended) return;
    this.ended = true;
    for (const listener of this.listeners) listener.dispose();
    this.channel.close();
    try {
      await this.target.request({ op: 'detach' });
      if (resume && !this.target.running) await this.target.request({ op: 'go', step: false });
    } catch {
      // The machine is gone, and with it everything that had to be undone.
    }
    this.onEnd();
  }

  // ---- Framing ----------------------------------------------------------------------------------------------------------------------

  private receive(bytes: Uint8Array): void {
    if (!this.greeted && bytes.length > 0) {
      this.greeted = true;
      // A web page that makes a browser post packets to this port begins with a letter; gdb does not.
      if (!GREETINGS.includes(bytes[0]!)) {
        void this.end(this.ranBefore);
        return;
      }
    }
    for (const event of this.reader.push(bytes)) {
      switch (event.type) {
        case 'packet':
          if (!this.noAck) this.channel.send(latin1('+'));
          this.waiting.push(event.data);
          break;
        case 'bad':
          if (!this.noAck) this.channel.send(latin1('-'));
          break;
        case 'nak':
          if (!this.noAck && this.lastSent) this.channel.send(this.lastSent);
          break;
        case 'interrupt':
          this.waiting.push('interrupt');
          break;
      }
    }
    if (this.waiting.length > MAX_WAITING && !this.held) {
      this.held = true;
      this.channel.pause?.();
    }
    void this.work();
  }

  private async work(): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    for (let data = this.waiting.shift(); data && !this.ended; data = this.waiting.shift()) {
      let reply: string | Uint8Array | undefined;
      try {
        if (data === 'interrupt') await this.interrupt();
        else reply = await this.answer(data);
      } catch {
        // The machine went off meanwhile, or the request made no sense to it. A running target has nothing to answer.
        if (data !== 'interrupt') reply = E_INVALID;
      }
      if (reply !== undefined) this.send(reply);
      if (this.held && this.waiting.length < MAX_WAITING / 2) {
        this.held = false;
        this.channel.resume?.();
      }
    }
    this.busy = false;
  }

  private send(data: string | Uint8Array): void {
    if (this.ended) return;
    this.lastSent = encodePacket(data);
    this.channel.send(this.lastSent);
  }

  // ---- Running and stopping ---------------------------------------------------------------------------------------------------------

  private stopped(stop: DebugStop | undefined): void {
    this.cached = undefined;
    this.lastStop = stop;
    if (!this.owesStop) return;
    this.owesStop = false;
    this.send(this.stopReply());
  }

  private machineEnded(): void {
    if (this.owesStop) this.send('W00');
    this.owesStop = false;
    this.waiting.length = 0;
    void this.end(false);
  }

  private stopReply(): string {
    const stop = this.lastStop;
    const thread = `thread:${THREAD};`;
    if (!stop) return `T02${thread}`;
    if (stop.cause === 'watchpoint') return `T05${WATCH_REASONS[stop.watchpoint.kind]}:${stop.address.toString(16)};${thread}`;
    // In code whose segment has a base gdb compares the offset with its breakpoints, finds none, and would go on if it were told the reason.
    if (stop.cause === 'breakpoint' && stop.address === stop.rip) {
      const point = this.breakpoints.get(stop.address);
      if (point?.software && this.reportsSoftware) return `T05swbreak:;${thread}`;
      if (point?.hardware && this.reportsHardware) return `T05hwbreak:;${thread}`;
    }
    return `T05${thread}`;
  }

  private async interrupt(): Promise<void> {
    if (this.owesStop) await this.target.request({ op: 'halt' });
  }

  private async go(step: boolean, address?: bigint): Promise<undefined | string> {
    if (this.target.running) return E_INVALID;
    if (address !== undefined) {
      const state = await this.state();
      state.rip = address;
      await this.setState(state);
    }
    this.cached = undefined;
    this.lastStop = undefined;
    this.owesStop = true;
    try {
      await this.target.request({ op: 'go', step });
    } catch (error) {
      this.owesStop = false;
      throw error;
    }
    return undefined;
  }

  // ---- Packets ----------------------------------------------------------------------------------------------------------------------

  private async answer(data: Uint8Array): Promise<string | Uint8Array | undefined> {
    let text = '';
    for (const byte of data) text += String.fromCharCode(byte);
    const rest = text.slice(1);
    switch (text[0]) {
      case '?':
        return this.stopReply();
      case '!':
        return OK;
      case 'H':
      case 'T':
        return OK;
      case 'g':
        return toHex(this.registers.readAll(await this.state()));
      case 'G':
        return this.writeRegisters(rest);
      case 'p':
        return this.readRegister(rest);
      case 'P':
        return this.writeRegister(rest);
      case 'm':
        return this.readMemory(rest);
      case 'M':
        return this.writeMemoryHex(rest);
      case 'X':
        return this.writeMemoryBinary(data, text);
      case 'c':
        return this.go(false, hexNumber(rest));
      case 's':
        return this.go(true, hexNumber(rest));
      case 'C':
        return this.go(false, hexNumber(rest.split(';')[1]));
      case 'S':
        return this.go(true, hexNumber(rest.split(';')[1]));
      case 'Z':
        return this.setPoint(rest, true);
      case 'z':
        return this.setPoint(rest, false);
      case 'D':
        this.send(OK);
        await this.end(true);
        return undefined;
      case 'k':
        await this.killed();
        return undefined;
      case 'R':
        await this.target.reset();
        this.cached = undefined;
        return undefined;
      case 'v':
        return this.verbose(text);
      case 'q':
      case 'Q':
        return this.query(text);
      default:
        return '';
    }
  }

  private async verbose(text: string): Promise<string | undefined> {
    if (text === 'vCont?') return 'vCont;c;C;s;S;t';
    if (text.startsWith('vCont;')) {
      // One thread: the first action is for it, whichever way it is named.
      switch (text[6]) {
        case 'c':
        case 'C':
          return this.go(false);
        case 's':
        case 'S':
          return this.go(true);
        case 't':
          await this.target.request({ op: 'halt' });
          return OK;
        default:
          return E_INVALID;
      }
    }
    if (text.startsWith('vKill;')) {
      this.send(OK);
      await this.killed();
      return undefined;
    }
    return '';
  }

  private async killed(): Promise<void> {
    const { target } = this;
    await this.end(false);
    await target.kill().catch(() => {});
  }

  private async query(text: string): Promise<string | Uint8Array | undefined> {
    const colon = text.search(/[:,]/);
    const name = colon < 0 ? text : text.slice(0, colon);
    const rest = colon < 0 ? '' : text.slice(colon + 1);
    switch (name) {
      case 'qSupported': {
        const features = rest.split(';');
        this.reportsSoftware = features.includes('swbreak+');
        this.reportsHardware = features.includes('hwbreak+');
        return `PacketSize=${MAX_PACKET.toString(16)};qXfer:features:read+;QStartNoAckMode+;vContSupported+;swbreak+;hwbreak+`;
      }
      case 'QStartNoAckMode':
        // The answer itself is still acknowledged; the acknowledgement is ignored.
        this.noAck = true;
        return OK;
      case 'qXfer':
        return this.transfer(rest);
      case 'qAttached':
        return '1';
      case 'qC':
        return `QC${THREAD}`;
      case 'qfThreadInfo':
        return `m${THREAD}`;
      case 'qsThreadInfo':
        return 'l';
      case 'qThreadExtraInfo': {
        const state = await this.state();
        return toHex(latin1(`CPU 0, ${codeBits(state)}-bit code${state.halted ? ', halted' : ''}`));
      }
      case 'qSymbol':
        return OK;
      case 'qRcmd':
        return this.monitor(rest);
      case 'qCRC':
        return this.crc(rest);
      case 'qSearch':
        return this.search(text);
      case 'qqemu.PhyMemMode':
        return this.physical ? '1' : '0';
      case 'Qqemu.PhyMemMode':
        if (rest !== '0' && rest !== '1') return E_INVALID;
        this.physical = rest === '1';
        return OK;
      default:
        return '';
    }
  }

  /** qXfer:object:read:annex:offset,length */
  private transfer(rest: string): string | Uint8Array {
    const [object, operation, annex, span] = rest.split(':');
    if (object !== 'features' || operation !== 'read') return '';
    if (annex !== 'target.xml') return 'E00';
    const [offset, length] = (span ?? '').split(',').map((part) => hexNumber(part));
    if (offset === undefined || length === undefined) return 'E01';
    const { description } = this.registers;
    const from = Number(offset > BigInt(description.length) ? BigInt(description.length) : offset);
    const size = Math.min(Number(length > 0xffffn ? 0xffffn : length), MAX_PACKET / 2);
    const piece = description.slice(from, from + size);
    return `${from + piece.length < description.length ? 'm' : 'l'}${piece}`;
  }

  // ---- Registers --------------------------------------------------------------------------------------------------------------------

  private async state(): Promise<CpuState> {
    this.cached ??= await this.target.request<'state'>({ op: 'state' });
    return this.cached;
  }

  private async setState(state: CpuState): Promise<void> {
    this.cached = undefined;
    await this.target.request({ op: 'setState', state });
  }

  private async writeRegisters(text: string): Promise<string> {
    const bytes = fromHex(text);
    if (!bytes) return E_INVALID;
    const state = await this.state();
    this.registers.writeAll(state, bytes);
    await this.setState(state);
    return OK;
  }

  private async readRegister(text: string): Promise<string> {
    const number = hexNumber(text);
    if (number === undefined) return E_INVALID;
    const bytes = number < 0x1000n ? this.registers.read(await this.state(), Number(number)) : undefined;
    return bytes ? toHex(bytes) : E_INVALID;
  }

  private async writeRegister(text: string): Promise<string> {
    const [left, right] = text.split('=');
    const number = hexNumber(left);
    const bytes = fromHex(right ?? '');
    if (number === undefined || number >= 0x1000n || !bytes) return E_INVALID;
    const state = await this.state();
    if (!this.registers.write(state, Number(number), bytes)) return E_INVALID;
    await this.setState(state);
    return OK;
  }

  // ---- Memory -----------------------------------------------------------------------------------------------------------------------

  private get space() {
    return this.physical ? 'physical' : 'linear';
  }

  /** Addresses beyond 32 bits wrap on a 32-bit target, as the processor's do. */
  private address(text: string | undefined): bigint | undefined {
    const value = hexNumber(text);
    return value !== undefined && this.registers.architecture !== 'x86-64' && !this.physical ? value & 0xffff_ffffn : value;
  }

  /** `addr,length` */
  private range(text: string): { address: bigint; length: number } | undefined {
    const [left, right] = text.split(',');
    const address = this.address(left);
    const length = hexNumber(right);
    if (address === undefined || length === undefined || length > 0xffff_ffffn) return undefined;
    return { address, length: Number(length) };
  }

  private read(address: bigint, length: number): Promise<Uint8Array> {
    return this.target.request<'read'>({ op: 'read', space: this.space, address, length });
  }

  private async readMemory(text: string): Promise<string> {
    const range = this.range(text);
    if (!range) return E_INVALID;
    const bytes = await this.read(range.address, Math.min(range.length, MAX_MEMORY));
    return bytes.length === 0 && range.length > 0 ? E_FAULT : toHex(bytes);
  }

  private async write(range: { address: bigint; length: number }, bytes: Uint8Array): Promise<string> {
    if (bytes.length !== range.length) return E_INVALID;
    if (bytes.length === 0) return OK;
    this.cached = undefined;
    const done = await this.target.request<'write'>({ op: 'write', space: this.space, address: range.address, bytes });
    return done === bytes.length ? OK : E_FAULT;
  }

  private async writeMemoryHex(text: string): Promise<string> {
    const colon = text.indexOf(':');
    const range = this.range(text.slice(0, colon));
    const bytes = fromHex(text.slice(colon + 1));
    return colon < 0 || !range || !bytes ? E_INVALID : this.write(range, bytes);
  }

  private async writeMemoryBinary(data: Uint8Array, text: string): Promise<string> {
    const colon = text.indexOf(':');
    const range = this.range(text.slice(1, colon));
    return colon < 0 || !range ? E_INVALID : this.write(range, data.slice(colon + 1));
  }

  /** CRC-32 of the protocol: polynomial 04C11DB7h, most significant bit first, all ones to begin with. */
  private async crc(text: string): Promise<string> {
    const range = this.range(text);
    if (!range || range.length > MAX_SEARCH) return E_INVALID;
    const bytes = await this.readLong(range);
    if (bytes.length < range.length) return E_FAULT;
    let crc = 0xffff_ffff;
    for (const byte of bytes) {
      crc ^= byte << 24;
      for (let bit = 0; bit < 8; bit++) crc = crc & 0x8000_0000 ? (crc << 1) ^ 0x04c1_1db7 : crc << 1;
    }
    return `C${(crc >>> 0).toString(16)}`;
  }

  /** qSearch:memory:address;length;pattern */
  private async search(text: string): Promise<string> {
    const match = /^qSearch:memory:([0-9a-fA-F]+);([0-9a-fA-F]+);([\s\S]+)$/.exec(text);
    const address = this.address(match?.[1]);
    const length = hexNumber(match?.[2]);
    if (!match || address === undefined || length === undefined) return E_INVALID;
    const bytes = await this.readLong({ address, length: Number(length > BigInt(MAX_SEARCH) ? BigInt(MAX_SEARCH) : length) });
    const pattern = latin1(match[3]!);
    const last = bytes.length - pattern.length;
    for (let at = 0; at <= last; at++) {
      let n = 0;
      while (n < pattern.length && bytes[at + n] === pattern[n]) n++;
      if (n === pattern.length) return `1,${(address + BigInt(at)).toString(16)}`;
    }
    return '0';
  }

  private async readLong(range: { address: bigint; length: number }): Promise<Uint8Array> {
    const out = new Uint8Array(range.length);
    let done = 0;
    while (done < range.length) {
      const want = Math.min(range.length - done, 0x10000);
      const part = await this.read(range.address + BigInt(done), want);
      out.set(part, done);
      done += part.length;
      if (part.length < want) break;
    }
    return out.subarray(0, done);
  }

  // ---- Breakpoints and watchpoints --------------------------------------------------------------------------------------------------

  /** `type,address,kind` of Z and z. Setting twice and removing what is not there are fine (E.2). */
  private async setPoint(text: string, insert: boolean): Promise<string> {
    const [type = '', left, right] = text.split(';')[0]!.split(',');
    const address = this.address(left);
    const length = hexNumber(right);
    if (address === undefined || length === undefined) return E_INVALID;
    if (type === '0' || type === '1') {
      if (insert && !this.breakpoints.has(address) && this.breakpoints.size >= MAX_BREAKPOINTS) return E_FULL;
      this.setBreakpoint(address, type === '0' ? 'software' : 'hardware', insert);
    } else {
      const kind = WATCH_KINDS[type];
      if (!kind) return '';
      if (length < 1n || length > 4096n) return E_INVALID;
      const others = this.watchpoints.filter((w) => w.address !== address || BigInt(w.length) !== length || w.kind !== kind);
      if (insert && others.length >= MAX_WATCHPOINTS) return E_FULL;
      this.watchpoints = insert ? [...others, { address, length: Number(length), kind }] : others;
    }
    await this.target.request({
      op: 'settings',
      settings: { breakpoints: [...this.breakpoints.keys()], watchpoints: this.watchpoints },
    });
    return OK;
  }

  private setBreakpoint(address: bigint, kind: 'software' | 'hardware', insert: boolean): void {
    const entry = this.breakpoints.get(address) ?? { address, software: false, hardware: false };
    entry[kind] = insert;
    if (entry.software || entry.hardware) this.breakpoints.set(address, entry);
    else this.breakpoints.delete(address);
  }

  // ---- Monitor ----------------------------------------------------------------------------------------------------------------------

  private async monitor(hex: string): Promise<string | undefined> {
    const command = fromHex(hex);
    if (!command) return E_INVALID;
    const text = String.fromCharCode(...command.subarray(0, 1024)).trim();
    if (text === 'quit' || text === 'q') {
      this.send(OK);
      await this.killed();
      return undefined;
    }
    this.cached = undefined;
    const output = await runMonitorCommand(text, this.target);
    // Output packets hold two digits a byte.
    const bytes = latin1(output);
    for (let at = 0; at < bytes.length; at += MAX_MEMORY) this.send(`O${toHex(bytes.subarray(at, at + MAX_MEMORY))}`);
    return OK;
  }
}
