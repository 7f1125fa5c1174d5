/** Writes a machine's state to its file, and puts the memory of one back. On the main thread of the VM process: the machine thread does not wait for it. */
import { uefiVariableBytes } from '../devices/platform/uefivariables.ts';
import { BIOS_ROM_BASE, OPTION_ROM_BASE } from '../memory/layout.ts';
import { type DeriveKey, StateCipher } from '../platform/statecipher.ts';
import { type Section, StateFileReader } from '../platform/statefilereader.ts';
import { StateFileWriter } from '../platform/statefilewriter.ts';
import {
  type MachineShape,
  type MediumStamp,
  metaFromTree,
  metaToTree,
  shapeDifferences,
  type StateMeta,
} from '../snapshot/machinestate.ts';
import type { DeviceState } from '../snapshot/snapshottable.ts';
import { StateReader } from '../snapshot/statereader.ts';
import { CHUNK_PAGES, PAGE_BYTES } from '../snapshot/stateformat.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import type { MachineTree, SavedMachine } from './machinemessages.ts';
import { MemoryRevert } from './memoryrevert.ts';
import { type MemoryChunk, markWritten, memoryAreas, MemoryPages } from './memorypages.ts';

const VGA_ROM_BYTES = 0x10000;
const ROM_BIOS = 0;
const ROM_VGA = 1;
/** Passes over what changed while a running guest's memory is written; the last changes are copied while it stands. */
const MAX_PASSES = 8;
/** Few enough pages to copy at once: 2 MiB take less than a millisecond. */
const FEW_PAGES = 512;
/** Most that is held in memory of a standing guest, so that it can run on before all is written, bytes. */
const HELD_MAX = 512 << 20;

export interface MachineMemory {
  memory: WebAssembly.Memory;
  /** With what the display has behind it. */
  ramBytes: number;
  vramBytes: number;
  biosBytes: number;
}

export interface SaveRequest {
  file: string;
  machine: MachineMemory;
  name: string;
  shape: MachineShape;
  /** The guest runs while most of it is written, and runs on after a short stop. Else it stands from the beginning. */
  live: boolean;
  /** The guest is paused, and will be after a restore. */
  paused: boolean;
  /** Makes the machine stand. */
  stand(): Promise<SavedMachine>;
  media(): Promise<MediumStamp[]>;
  /** The moment of the snapshot: the machine stands and its state is held. What is started here belongs to the same moment. */
  atThatMoment(): void;
  /** The guest may run on. Gives the host time at which it did, epoch milliseconds; undefined when it had been paused. */
  goOn(): Promise<number | undefined>;
  /** Asks the guest's disks to leave that of the host alone for a while, until what it gives is called. */
  hurry(): () => void;
  /** Encrypts memory and devices with a key of this drive's disk. */
  seal: { drive: string; derive: DeriveKey } | undefined;
  /** Ends it, until the file is whole. */
  signal: AbortSignal;
  /** Bytes of memory that were looked at, of those that there are about. */
  progress(done: number, total: number): void;
}

export interface SaveResult {
  bytes: number;
  /** How long the guest stood, milliseconds. */
  pauseMs: number;
  settled: boolean;
  /** Gives the file its name. */
  commit(): Promise<void>;
  abandon(): Promise<void>;
}

export async function saveMachine(request: SaveRequest): Promise<SaveResult> {
  const { machine, live } = request;
  const pages = new MemoryPages(machine.memory, machine.ramBytes, machine.vramBytes);
  // While the guest runs, every moment means more that has changed meanwhile: nothing is compressed then.
  const { seal } = request;
  // Sealed memory can't be packed later, as nobody has the key then.
  const packing = seal !== undefined || !live;
  const writer = await StateFileWriter.create(request.file, { compress: packing, version: !packing ? 3 : seal ? 2 : 1 });
  const total = pages.writtenBytes;
  let done = 0;
  const put = async ({ kind, index, chunk }: MemoryChunk) => {
    request.signal.throwIfAborted();
    const { length } = chunk;
    if (packing) await writer.addGathered(kind, index, chunk);
    else await writer.addAsItIs(kind, index, chunk.pieces);
    done += length;
    request.progress(Math.min(done, total), total);
  };
  let leisure = () => {};
  try {
    let standing = live ? undefined : await request.stand();
    const meta: StateMeta = {
      savedAt: new Date().toISOString(),
      machineName: request.name,
      paused: standing?.wasPaused ?? request.paused,
      ramBytes: machine.ramBytes,
      vramBytes: machine.vramBytes,
      shape: request.shape,
      media: await request.media(),
    };
    await writer.addTree('META', metaToTree(meta));
    await addRoms(writer, machine);
    if (seal) await writer.sealFrom(seal.drive, new StateCipher(seal.derive));
    if (!standing) leisure = request.hurry();
    for (const chunk of pages.all()) await put(chunk);
    if (!standing) {
      for (let pass = 0, last = Number.POSITIVE_INFINITY; pass < MAX_PASSES; pass++) {
        const { changed } = pages;
        // A guest that writes faster than the file takes it is not waited for.
        if (changed <= FEW_PAGES || changed >= last) break;
        last = changed;
        for (const chunk of pages.changes()) await put(chunk);
      }
      // What is still being written would see the guest go on after the moment.
      await writer.drained();
      // A flush that waits would keep the guest from standing.
      leisure();
      standing = await request.stand();
    }
    const held: [kind: MemoryChunk['kind'], index: number, plain: Uint8Array][] = [];
    let heldBytes = 0;
    if (live)
      for (const { kind, index, chunk } of pages.changes()) {
        if (heldBytes > HELD_MAX) await writer.add(kind, index, chunk.finish());
        else {
          held.push([kind, index, chunk.finish()]);
          heldBytes += chunk.length;
        }
      }
    request.atThatMoment();
    const wentOn = await request.goOn();
    const pauseMs = wentOn === undefined ? 0 : Math.max(0, wentOn - standing.stoppedAt);
    for (const [kind, index, plain] of held) await writer.add(kind, index, plain);
    await writer.addTree('TREE', standing.tree);
    await writer.finish();
    return {
      bytes: writer.bytes,
      pauseMs,
      settled: standing.settled,
      commit: () => writer.commit(),
      abandon: () => writer.abandon(),
    };
  } catch (error) {
    await writer.abandon();
    throw error;
  } finally {
    leisure();
  }
}

/** System BIOS and VGA BIOS where the machine has them. */
function roms({ memory, biosBytes }: Pick<MachineMemory, 'memory' | 'biosBytes'>): [bios: Buffer, vga: Buffer] {
  const start = BIOS_ROM_BASE + Math.ceil(biosBytes / PAGE_BYTES) * PAGE_BYTES - biosBytes;
  return [Buffer.from(memory.buffer, start, biosBytes), Buffer.from(memory.buffer, OPTION_ROM_BASE, VGA_ROM_BYTES)];
}

async function addRoms(writer: StateFileWriter, machine: MachineMemory): Promise<void> {
  const [bios, vga] = roms(machine);
  // Copies: flash memory may change meanwhile.
  await writer.add('ROM ', ROM_BIOS, Buffer.from(bios));
  await writer.add('ROM ', ROM_VGA, Buffer.from(vga));
}

/** The state file of a machine that is being started from it. */
export class SavedMachineFile {
  readonly meta: StateMeta;
  /** Firmware as the guest knows it, whatever the host has by now. */
  readonly bios: Uint8Array;
  readonly vgaBios: Uint8Array;
  private readonly reader: StateFileReader;

  private constructor(reader: StateFileReader, meta: StateMeta, bios: Uint8Array, vgaBios: Uint8Array) {
    this.reader = reader;
    this.meta = meta;
    this.bios = bios;
    this.vgaBios = vgaBios;
  }

  /** Rejects with 'corrupt', 'unsupported' or 'invalid-state' (another machine than the present one). */
  static async open(file: string, shape: MachineShape): Promise<SavedMachineFile> {
    const reader = await StateFileReader.open(file);
    try {
      const meta = metaFromTree(await reader.tree('META'), file);
      refuseOtherShape(meta, shape);
      const roms: Uint8Array[] = [];
      for (const index of [ROM_BIOS, ROM_VGA]) {
        const section = await reader.next();
        if (section?.header.kind !== 'ROM ' || section.header.index !== index) throw reader.corrupt(say('damageNoFirmware'));
        // Memory of their own: they are handed to another thread.
        roms.push(new Uint8Array(section.plain));
      }
      return new SavedMachineFile(reader, meta, roms[0]!, roms[1]!);
    } catch (error) {
      await reader.close();
      throw error;
    }
  }

  /** Before memory is read: takes the key from the disk that it was sealed with. `deriver` gives that of a drive. Rejects with 'invalid-state' when there is none. */
  async unlock(deriver: (drive: string) => DeriveKey | undefined): Promise<void> {
    const section = await this.reader.next();
    if (!section) return;
    if (section.header.kind !== 'KEY ') {
      this.reader.unread(section);
      return;
    }
    const key = StateReader.open(this.reader.decode(section.plain) as DeviceState, this.reader.file, 1);
    const drive = key.string('drive');
    const derive = deriver(drive);
    if (!derive)
      throw new HypervueError(
        'invalid-state',
        say('stateKeyGone', { file: this.reader.file, drive }),
        { path: this.reader.file, drive, operation: 'restore' },
        say('fixDiskBack'),
      );
    this.reader.unlock(new StateCipher(derive, key.bytes('salt')));
  }

  /** Fills RAM and video memory, which hold zeros, and gives what the machine thread restores. */
  async load({ memory, ramBytes, vramBytes }: Omit<MachineMemory, 'biosBytes'>): Promise<MachineTree> {
    if (this.meta.ramBytes !== ramBytes || this.meta.vramBytes !== vramBytes) throw this.reader.corrupt(say('damageOtherMemory'));
    const areas = memoryAreas(memory, ramBytes, vramBytes);
    for (const { kind, bytes } of areas) if (kind === 'MEMV') bytes.fill(0);
    const section = await this.reader.fill(new Map(areas.map(({ kind, bytes }) => [kind, bytes])), (kind, index) => {
      if (kind === 'MEMR') markWritten(memory, index, Math.min(CHUNK_PAGES, ramBytes / PAGE_BYTES - index * CHUNK_PAGES));
    });
    return this.treeAfter(section);
  }

  /** Whether its firmware is that of the machine, whose own flash memory may hold anything. */
  sameFirmware({ memory, biosBytes }: MachineMemory): boolean {
    const flash = uefiVariableBytes(this.bios);
    const [bios, vga] = roms({ memory, biosBytes });
    return this.bios.length === biosBytes && bios.subarray(flash).equals(this.bios.subarray(flash)) && vga.equals(this.vgaBios);
  }

  /**
   * Makes RAM and video memory of a machine that stands what they were. Gives what its thread restores, the pages that are other ones now, and what is to be called when that is
   * done. `onlyMarked`: pages that are not marked as changed are known to be as in this file.
   */
  async replace(
    { memory, ramBytes, vramBytes }: Omit<MachineMemory, 'biosBytes'>,
    onlyMarked: boolean,
  ): Promise<{ tree: MachineTree; changed: readonly number[]; unmark(): void }> {
    if (this.meta.ramBytes !== ramBytes || this.meta.vramBytes !== vramBytes) throw this.reader.corrupt(say('damageOtherMemory'));
    const revert = new MemoryRevert(memory, ramBytes, vramBytes, onlyMarked);
    const tree = await this.treeAfter(await revert.load(this.reader));
    // The display's chip says that all of video memory has changed.
    return { tree, changed: revert.changed, unmark: () => revert.unmark('MEMV') };
  }

  private async treeAfter(section: Section | undefined): Promise<MachineTree> {
    if (!section) throw this.reader.corrupt(say('damageNoProcessor'));
    const { kind } = section.header;
    if (kind !== 'TREE') throw this.reader.corrupt(say('damageNotMemory', { section: kind.trim() }));
    const tree = decodeTree(section.plain, this.reader);
    if (await this.reader.next()) throw this.reader.corrupt(say('damageAfterEnd'));
    return tree;
  }

  close(): Promise<void> {
    return this.reader.close();
  }
}

function decodeTree(plain: Uint8Array, reader: StateFileReader): MachineTree {
  const tree = reader.decode(plain);
  if (typeof tree !== 'object' || tree === null || Array.isArray(tree) || tree instanceof Uint8Array)
    throw reader.corrupt(say('damageNoTree'));
  return tree;
}

export function refuseOtherShape(meta: StateMeta, shape: MachineShape): void {
  const differences = shapeDifferences(meta.shape, shape);
  if (differences.length)
    throw new HypervueError(
      'invalid-state',
      say('savedAsOther', { name: meta.machineName, differences: differences.join('; ') }),
      { object: meta.machineName, operation: 'restore' },
      say('fixSavedAsOther'),
    );
}
