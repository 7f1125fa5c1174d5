import { readFileSync } from 'node:fs';
import { BufferCharBackend } from '../../backend/char.ts';
import type { BlockDevice } from '../../backend/asyncblock.ts';
import { Interpreter } from '../../cpu/interp/interpreter.ts';
import { cpuModule } from '../../cpu/interp/testing/testcpu.ts';
import { FakeCable } from '../../devices/testing/fakecable.ts';
import { FakeBlockDevice } from '../../devices/testing/fakeblock.ts';
import { createVmMemory } from '../../memory/vmmemory.ts';
import { nullLogger } from '../../util/logger.ts';
import type { DriveBay } from '../definition.ts';
import { Machine } from '../machine.ts';
import { HostMachineClock } from '../machineclock.ts';

const root = new URL('../../../', import.meta.url);
const firmware = (name: string) => new Uint8Array(readFileSync(new URL(`resources/firmware/${name}`, root)));
const SLICE = 2_000;
/** Pretended speed of the processor. */
const NS_PER_INSTRUCTION = 20;

/** A board of 16 MiB that boots from a floppy, in this thread, with a clock made of instructions: every run is the same. */
export class TestMachine {
  readonly floppy: FakeBlockDevice;
  readonly serial = new BufferCharBackend();
  readonly machine: Machine;
  /** Codes given to isa-debug-exit. */
  readonly exits: number[] = [];
  powerOffs = 0;
  /** Resets that chips asked for, and shutdowns of the processor. */
  resets = 0;
  shutdowns = 0;
  private readonly debug = new BufferCharBackend();
  private readonly clock: HostMachineClock;
  private now = 0;

  /** `bootSector`: up to 510 bytes, loaded at 0000:7C00. */
  constructor(bootSector: readonly number[]) {
    const image = new Uint8Array(1_474_560);
    image.set(bootSector);
    image.set([0x55, 0xaa], 510);
    this.floppy = new FakeBlockDevice(image);
    this.clock = new HostMachineClock(
      () => this.now,
      () => Date.UTC(2024, 5, 1) + this.now / 1e6,
    );
    const memory = createVmMemory(16 << 20);
    const drives: DriveBay[] = [{ id: 'fd0', kind: 'floppy', writeCache: true }];
    this.machine = new Machine({
      memory,
      definition: {
        name: 'test',
        uuid: '00000000-0000-4000-8000-000000000001',
        cpuModel: 'i686',
        ramBytes: 16 << 20,
        vramBytes: 1 << 20,
        bios: firmware('bios-256k.bin'),
        vgaBios: firmware('vgabios-stdvga.bin'),
        drives,
        cards: [],
        bootOrder: ['floppy'],
        bootMenu: false,
        directBoot: undefined,
        serialPorts: 1,
        hpet: false,
        paravirt: false,
        time: { source: 'host' },
        clockOffsetMs: 0,
        debugExit: true,
      },
      clock: this.clock,
      log: nullLogger,
      createAccelerator: (bus) => new Interpreter({ memory, wasm: cpuModule(), bus, log: nullLogger }),
      drive: (): BlockDevice => this.floppy,
      cable: () => new FakeCable(),
      serial: () => this.serial,
      debugConsole: this.debug,
      onPowerOff: () => this.powerOffs++,
      onDebugExit: (code) => this.exits.push(code),
      onPointerMode: () => {},
      onLeds: () => {},
      onFlash: () => {},
    });
  }

  /** Everything on port 0x402: SeaBIOS' log and what the boot sector says. */
  get output(): string {
    return String.fromCharCode(...this.debug.output.slice(-50_000));
  }

  /** What the boot sector said, between < and >, in all its runs. */
  get said(): string {
    return [...this.output.matchAll(/<([^<>\n]*)>/g)].map((match) => match[1]).join(' ');
  }

  /** Runs until `done`; throws when that does not come within `limit` instructions. Sleep of the guest passes at once. */
  runUntil(done: () => boolean, limit = 200_000_000): void {
    const { accelerator } = this.machine;
    const end = accelerator.instructions + limit;
    while (!done()) {
      if (accelerator.instructions > end)
        throw new Error(`nothing after ${limit} instructions; the log ends in: ${this.output.slice(-300)}`);
      this.clock.runDue();
      const before = accelerator.instructions;
      const exit = accelerator.run(SLICE);
      this.now += Math.max(1, accelerator.instructions - before) * NS_PER_INSTRUCTION;
      this.floppy.run();
      if (this.machine.wantsReset) {
        this.resets++;
        this.machine.reset('hard');
      } else if (exit === 'shutdown') {
        this.shutdowns++;
        this.machine.reset('hard');
      } else if (exit === 'halt') {
        const next = this.clock.nextDeadline();
        if (next === undefined) throw new Error('halted for ever');
        this.now = Math.max(this.now, next);
      }
    }
  }
}
