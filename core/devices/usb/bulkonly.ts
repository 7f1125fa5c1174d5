/**
 * Mass storage over two bulk pipes: Universal Serial Bus Mass Storage Class, Bulk-Only Transport, revision 1.0. A command comes in a wrapper (CBW), then its
 * data, then its status (CSW).
 *
 * Nothing that a transfer does is remembered before it has ended, so that one that is cancelled, or under way when the machine is saved, can be given again.
 */
import { BLOCK_OK, type BlockDevice, type BlockStatus } from '../../backend/asyncblock.ts';
import type { UsbDone, UsbTransfer } from '../../bus/usb/usbdevice.ts';
import type { DeviceState, StateValue } from '../../snapshot/snapshottable.ts';
import { StateReader } from '../../snapshot/statereader.ts';
import type { Logger } from '../../util/logger.ts';
import { HostRequests } from '../storage/hostrequests.ts';
import { NO_SENSE, READ_ERROR, type ScsiUnit, type ScsiWork, WRITE_ERROR } from '../storage/scsi.ts';
import { BULK } from './descriptors.ts';
import { type ControlAnswer, type SetupPacket, UsbFunction } from './usbfunction.ts';

const IN = 0x81;
const OUT = 0x02;
const CBW_BYTES = 31;
const CSW_BYTES = 13;
/** "USBC" and "USBS". */
const CBW_SIGNATURE = 0x4342_5355;
const CSW_SIGNATURE = 0x5342_5355;
const TO_HOST = 0x80;
const GET_MAX_LUN = 0xfe;
const RESET = 0xff;
const PASSED = 0;
const FAILED = 1;
const PHASE_ERROR = 2;
const MAX_REPLY = 4096;
const PACKET = 1024;

/** Work without data; what is told of it is in `result`. */
const NOTHING: ScsiWork = { kind: 'failed', sense: NO_SENSE };

/** What comes next: a command, its data, the end of a flush, its status; or nothing but a reset, after a wrapper that was none. */
const phases = ['command', 'in', 'out', 'flush', 'status', 'broken'] as const;
type Phase = (typeof phases)[number];

interface Pending {
  transfer: UsbTransfer;
  done: UsbDone;
}

export interface UsbStorageOptions {
  scsi: ScsiUnit;
  block: BlockDevice;
  /** What people call it. */
  product: string;
  serial: string;
  log: Logger;
}

export class UsbStorage extends UsbFunction {
  private readonly options: UsbStorageOptions;
  private readonly scsi: ScsiUnit;
  private readonly requests: HostRequests;
  private phase: Phase = 'command';
  private tag = 0;
  /** Bytes that the wrapper announced, and those of them that have not come or gone. */
  private announced = 0;
  private left = 0;
  private result = PASSED;
  private work: ScsiWork = { kind: 'done' };
  /** Bytes of the work's data that were moved; what else comes is dropped. */
  private moved = 0;
  private readonly pending = new Map<number, Pending>();
  /** The host is at the transfer of this endpoint, or at a flush. */
  private busy: number | 'flush' | undefined;

  constructor(options: UsbStorageOptions) {
    super('super', {
      usb: 0x0300,
      packet0: 9,
      vendor: 0x46f4,
      product: 0x0001,
      release: 0x0100,
      strings: ['Hypervue', options.product, options.serial],
      interface: {
        class: 8,
        subclass: 6,
        protocol: 0x50,
        extra: [],
        endpoints: [
          { address: IN, kind: BULK, packet: PACKET, interval: 0 },
          { address: OUT, kind: BULK, packet: PACKET, interval: 0 },
        ],
      },
    });
    this.options = options;
    this.scsi = options.scsi;
    this.requests = new HostRequests(options.block);
    this.requests.onDrained = () => this.pump();
  }

  cancel(endpoint: number): void {
    this.pending.delete(endpoint);
    if (this.busy !== endpoint) return;
    this.busy = undefined;
    this.requests.abandon();
  }

  override save(): DeviceState {
    const { phase, tag, announced, left, result, moved, work } = this;
    return { ...super.save(), phase, tag, announced, left, result, moved, work: savedWork(work), scsi: this.scsi.save() };
  }

  restore(state: DeviceState): void {
    this.abandon();
    const reader = StateReader.open(state, 'usb disk', 1);
    this.restoreFunction(reader);
    const phase = phases.find((name) => name === reader.string('phase'));
    this.tag = reader.number('tag', 0, 0xffffffff);
    this.announced = reader.number('announced', 0, 0xffffffff);
    this.left = reader.number('left', 0, 0xffffffff);
    this.result = reader.number('result', PASSED, PHASE_ERROR);
    this.moved = reader.number('moved', 0);
    this.work = restoredWork(reader.object('work'), this.options.block.info?.sizeBytes ?? 0);
    this.phase = fitting(phase, this.work);
    this.scsi.restore(reader.state('scsi'));
    // A flush goes on with the first transfer.
  }

  protected transfer(transfer: UsbTransfer, done: UsbDone): void {
    this.pending.set(transfer.endpoint, { transfer, done });
    this.pump();
  }

  /** Sections 3.1 and 3.2. */
  protected classRequest({ request }: SetupPacket): ControlAnswer {
    if (request === GET_MAX_LUN) return Uint8Array.of(0);
    if (request !== RESET) return undefined;
    this.begin();
    return new Uint8Array();
  }

  protected unconfigured(): void {
    this.pending.clear();
    this.begin();
    this.scsi.reset();
  }

  protected override endpointCleared(endpoint: number): void {
    // What was no wrapper stays so until a reset (section 6.6.1).
    if (this.phase === 'broken') this.halt(endpoint);
  }

  /** Ready for a command. */
  private begin(): void {
    this.abandon();
    this.phase = 'command';
    this.announced = this.left = this.moved = this.tag = 0;
    this.result = PASSED;
    this.work = { kind: 'done' };
  }

  private abandon(): void {
    this.busy = undefined;
    this.requests.abandon();
  }

  /** Does what can be done with the transfers that are here. */
  private pump(): void {
    for (let more = true; more && this.busy === undefined && !this.requests.draining; ) more = this.step();
  }

  private step(): boolean {
    if (this.phase === 'flush') {
      this.flush();
      return true;
    }
    const out = this.phase === 'command' || this.phase === 'out';
    const pending = this.pending.get(out ? OUT : IN);
    if (!pending || this.phase === 'broken') return false;
    switch (this.phase) {
      case 'command':
        this.command(pending);
        break;
      case 'status':
        this.status(pending);
        break;
      default:
        this.data(pending);
    }
    return true;
  }

  /** Section 5.1. */
  private command({ transfer: { data } }: Pending): void {
    const bytes = new Uint8Array(CBW_BYTES);
    data.take(0, bytes);
    const view = new DataView(bytes.buffer);
    if (data.bytes !== CBW_BYTES || view.getUint32(0, true) !== CBW_SIGNATURE) {
      this.options.log.guest('a command wrapper that is none');
      this.phase = 'broken';
      this.refuse(OUT);
      this.refuse(IN);
      return;
    }
    this.tag = view.getUint32(4, true);
    this.announced = this.left = view.getUint32(8, true);
    const toHost = (bytes[12]! & TO_HOST) !== 0;
    const cdb = new Uint8Array(16);
    cdb.set(bytes.subarray(15, 15 + Math.min(bytes[14]! & 0x1f, 16)));
    this.moved = 0;
    this.work = this.scsi.begin(bytes[13]! & 0xf, cdb);
    this.result = this.work.kind === 'failed' ? FAILED : PASSED;
    const { wanted } = this;
    // The thirteen cases of section 6.7: a device that has more to move than the host wants, or the other way, says so.
    if (wanted > this.left || (wanted > 0 && this.outward === toHost)) {
      this.result = PHASE_ERROR;
      this.work = NOTHING;
    }
    this.phase = this.left > 0 ? (toHost ? 'in' : 'out') : this.work.kind === 'flush' ? 'flush' : 'status';
    this.end(OUT, 'ok', CBW_BYTES);
  }

  /** Bytes of data of the command. */
  private get wanted(): number {
    return this.work.kind === 'reply' ? this.work.data.length : this.work.kind === 'move' ? this.work.bytes : 0;
  }

  /** They go to the disk. */
  private get outward(): boolean {
    return this.work.kind === 'move' && this.work.write;
  }

  private data({ transfer: { data, endpoint } }: Pending): void {
    const room = Math.min(data.bytes, this.left);
    const bytes = Math.min(room, this.wanted - this.moved);
    const { work } = this;
    if (bytes === 0) {
      this.dataMoved(endpoint, 0, data.bytes);
      return;
    }
    if (work.kind === 'reply') {
      data.put(0, work.data.subarray(this.moved, this.moved + bytes));
      this.dataMoved(endpoint, bytes, data.bytes);
      return;
    }
    if (work.kind !== 'move') return;
    this.busy = endpoint;
    const { write, offset, durable } = work;
    this.requests.transfer({ write, data: data.slice(0, bytes), offset: offset + this.moved, durable }, (status) => {
      this.busy = undefined;
      if (status !== BLOCK_OK) this.fail(write);
      this.dataMoved(endpoint, status === BLOCK_OK ? bytes : 0, data.bytes);
      this.pump();
    });
  }

  /** Of a transfer with room for `size` bytes, `bytes` were moved. What comes beyond is dropped; what is missing is told by a short packet. */
  private dataMoved(endpoint: number, bytes: number, size: number): void {
    this.moved += bytes;
    const gone = endpoint === OUT ? Math.min(size, this.left) : bytes;
    this.left -= gone;
    if (this.left === 0 || (endpoint === IN && bytes < size)) this.dataOver();
    this.end(endpoint, 'ok', gone);
  }

  private dataOver(): void {
    this.phase = this.work.kind === 'flush' ? 'flush' : 'status';
  }

  private flush(): void {
    this.busy = 'flush';
    this.requests.request(
      (answered) => this.options.block.flush(answered),
      (status: BlockStatus) => {
        this.busy = undefined;
        if (status !== BLOCK_OK) this.fail(true);
        this.phase = 'status';
        this.pump();
      },
    );
  }

  private fail(write: boolean): void {
    this.work = this.scsi.failed(write ? WRITE_ERROR : READ_ERROR);
    this.result = FAILED;
  }

  /** Section 5.2. */
  private status({ transfer: { data } }: Pending): void {
    const view = new DataView(new ArrayBuffer(CSW_BYTES));
    view.setUint32(0, CSW_SIGNATURE, true);
    view.setUint32(4, this.tag, true);
    view.setUint32(8, Math.max(0, this.announced - this.moved), true);
    view.setUint8(12, this.result);
    this.phase = 'command';
    const bytes = data.put(0, new Uint8Array(view.buffer));
    this.end(IN, bytes < CSW_BYTES ? 'babble' : 'ok', bytes);
  }

  private refuse(endpoint: number): void {
    this.halt(endpoint);
    this.end(endpoint, 'stall', 0);
  }

  private end(endpoint: number, status: 'ok' | 'stall' | 'babble', bytes: number): void {
    const pending = this.pending.get(endpoint);
    this.pending.delete(endpoint);
    pending?.done(status, bytes);
  }
}

/** The unit itself has the sense. */
function savedWork(work: ScsiWork): { [key: string]: StateValue } {
  return work.kind === 'failed' ? { kind: 'failed' } : { ...work };
}

/** Work as it was saved; what reaches beyond the disk is none. */
function restoredWork(state: StateReader, sizeBytes: number): ScsiWork {
  const kind = state.string('kind');
  switch (kind) {
    case 'flush':
      return { kind };
    case 'failed':
      return NOTHING;
    case 'reply':
      return { kind, data: state.bytes('data').subarray(0, MAX_REPLY) };
    case 'move': {
      const offset = state.number('offset', 0);
      const bytes = state.number('bytes', 0);
      if (offset + bytes > sizeBytes) return NOTHING;
      return { kind, write: state.boolean('write'), offset, bytes, durable: state.boolean('durable') };
    }
    default:
      return { kind: 'done' };
  }
}

/** Unknown phases are the beginning; a flush needs its work. */
function fitting(phase: Phase | undefined, work: ScsiWork): Phase {
  return phase === undefined || (phase === 'flush' && work.kind !== 'flush') ? 'command' : phase;
}
