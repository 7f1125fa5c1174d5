import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { BlockDevice } from '../backend/asyncblock.ts';
import type { BlockInfo } from '../backend/block.ts';
import { SeededNumbers } from '../cpu/seededrandom.ts';
import { Interpreter } from '../cpu/interp/interpreter.ts';
import { GuestDebugger } from '../debug/guestdebugger.ts';
import { FLASH_BLOCK_BYTES } from '../devices/platform/cfiflash.ts';
import { Machine } from '../machine/machine.ts';
import { InputSchedule } from '../machine/inputschedule.ts';
import { InstructionClock, LATENCY_NS } from '../machine/instructionclock.ts';
import { HostMachineClock } from '../machine/machineclock.ts';
import { RunLoop } from '../machine/runloop.ts';
import { TimedDrive } from '../machine/timeddrive.ts';
import { usbConnectorOf, usbDrive } from '../machine/usb.ts';
import { BIOS_ROM_BASE } from '../memory/layout.ts';
import { Mailbox } from '../memory/mailbox.ts';
import { VectorIo } from '../platform/vectorio.ts';
import { asHypervueError } from '../util/errors.ts';
import { createLogger } from '../util/logger.ts';
import { releaseBootImages } from './bootimages.ts';
import { CompileQueue } from './compilequeue.ts';
import { BatchedCharBackend } from './batchedchar.ts';
import { DriveShortcut } from './driveshortcut.ts';
import type { FromMachine, InputMessage, MachineCommand, MachineThreadData, MachineTree, ToMachine } from './machinemessages.ts';
import { CableTraffic, RemoteCable } from './remotecable.ts';
import { RemoteDrive } from './remotedrive.ts';
import { RemoteUsb } from './remoteusb.ts';
import { SavePoint } from './savepoint.ts';
import { type StateHash, stateHash } from './statehash.ts';

/** Entry point of the machine thread: vCPU and all devices in one loop. It never returns to the event loop; messages are polled from the port. */
const data = workerData as MachineThreadData;
const port = data.port as MessagePort;
const post = (message: FromMachine, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);
const mailbox = new Mailbox(data.memory);

/** 32 bits from the host's generator, for RDRAND and RDSEED. */
function hostRandom(): number {
  return randomBytes(4).readUInt32LE();
}

function main(): void {
  const log = createLogger((level, scope, message) => post({ t: 'log', level, scope, message }));
  const { definition } = data;
  const { directBoot } = definition;
  if (directBoot?.files) releaseBootImages(directBoot, directBoot.files, data.restoring ?? false, log);
  const hostNow = () => performance.now() * 1e6;
  /** Present when machine time is made of instructions. */
  const counted =
    definition.time.source === 'instructions'
      ? new InstructionClock({ startMs: definition.time.startMs, ...(definition.time.paced ? { host: hostNow } : {}) })
      : undefined;
  /** A machine that is to run the same way twice draws the same numbers twice. */
  const numbers = counted && new SeededNumbers(1);
  const clock = counted ?? new HostMachineClock(hostNow, Date.now);
  const vectors = VectorIo.open(data.memory);
  const shortcut = () => vectors && new DriveShortcut(vectors);
  const remoteDrive = (id: string, info: BlockInfo | undefined) => new RemoteDrive(id, info, post, shortcut());
  const drives = new Map(data.definition.drives.map(({ id }) => [id as string, remoteDrive(id, data.media[id])]));
  const timedDrives = new Map<string, TimedDrive>();
  const serials = Array.from(
    { length: data.definition.serialPorts },
    (_, index) => new BatchedCharBackend((bytes) => post({ t: 'serialOutput', index, bytes })),
  );
  const cables = new Map(definition.cards.map(({ id }) => [id as string, new RemoteCable(id, new CableTraffic(data.cables[id]), post)]));
  const debug = new BatchedCharBackend((bytes) => post({ t: 'debugOutput', bytes }));
  /** Blocks of flash memory that changed in this slice. */
  const flashBlocks = new Set<number>();
  function blockDevice(id: string): BlockDevice {
    const drive = drives.get(id)!;
    if (!counted) return drive;
    // Asked for more than once by the board; requests are counted where they are made.
    const timed = timedDrives.get(id) ?? new TimedDrive(drive, counted, waitForHost);
    timedDrives.set(id, timed);
    return timed;
  }
  const machine = new Machine({
    memory: data.memory,
    definition: data.definition,
    clock,
    log,
    createAccelerator: (bus) =>
      new Interpreter({
        memory: data.memory,
        wasm: data.cpuWasm,
        bus,
        log: log.child('cpu'),
        model: data.definition.cpuModel,
        paravirt: data.definition.paravirt,
        random: numbers ? () => numbers.next() : hostRandom,
        ...(data.compilePort
          ? {
              compiler: new CompileQueue(data.compilePort as MessagePort),
              tuning: { now: () => performance.now(), adaptive: true, reachedOnly: true },
            }
          : {}),
      }),
    drive: blockDevice,
    cable: (id) => cables.get(id)!,
    serial: (index) => serials[index]!,
    debugConsole: debug,
    onPowerOff: () => powerOff.request(),
    onDebugExit: (code) => {
      exitCode = code;
      debugExit.request();
    },
    onPointerMode: (absolute) => post({ t: 'pointerMode', absolute }),
    onLeds: (leds) => post({ t: 'leds', leds }),
    onFlash: (block) => flashBlocks.add(block),
  });
  const usb = machine.usb && new RemoteUsb(machine.usb, post, clock);
  const powerOff = clock.deferred(() => {
    loop.pause();
    flush();
    post({ t: 'powerOff', ...(data.rerun?.record ? { stateHash: hash() } : {}) });
  });
  let exitCode = 0;
  const debugExit = clock.deferred(() => {
    loop.pause();
    flush();
    post({ t: 'debugExit', code: exitCode });
  });
  const flush = () => {
    for (const serial of serials) serial.flush();
    debug.flush();
    for (const block of flashBlocks) {
      const offset = block * FLASH_BLOCK_BYTES;
      post({ t: 'flash', offset, bytes: new Uint8Array(data.memory.buffer, BIOS_ROM_BASE + offset, FLASH_BLOCK_BYTES).slice() });
    }
    flashBlocks.clear();
  };
  const loop: RunLoop = new RunLoop({
    accelerator: machine.accelerator,
    clock,
    mailbox,
    drain,
    afterSlice: () => {
      if (machine.wantsReset) machine.reset('hard');
      else machine.takeInit();
      // An answer may raise an interrupt just when the processor halted: the loop has to look before it sleeps.
      for (const drive of drives.values()) if (drive.runDeferred()) mailbox.ring();
      flush();
      savePoint.look();
    },
    onShutdown: () => {
      post({ t: 'tripleFault' });
      machine.reset('hard');
    },
    onHalted: () => post({ t: 'halted' }),
    onDebug: () => guestDebugger.stopped(),
  });
  const savePoint = new SavePoint({
    clock,
    counted: counted !== undefined,
    loop: {
      get paused() {
        return loop.paused;
      },
      pause: () => {
        if (!loop.paused) stoppedAt = performance.timeOrigin + performance.now();
        loop.pause();
      },
      resume: () => loop.resume(),
    },
    idle: () => [...drives.values(), ...timedDrives.values()].every(({ pending }) => pending === 0),
    settled: () => machine.settled && !inputs?.pending,
    ring: () => mailbox.ring(),
  });
  let stoppedAt = 0;
  const guestDebugger = new GuestDebugger({
    accelerator: machine.accelerator,
    memory: machine.guestMemory,
    pause: () => loop.pause(),
    resume: () => loop.resume(),
    profile: () => {
      const { ports, mmio } = machine.countAccesses();
      return { ports: ports.busiest(), mmio: mmio.busiest(), seconds: clock.now() / 1e9, haltedSeconds: loop.haltedNs / 1e9 };
    },
    onStop: (stop) => post({ t: 'debugStop', stop }),
  });

  function drain(): void {
    for (let received = receiveMessageOnPort(port); received; received = receiveMessageOnPort(port)) handle(received.message as ToMachine);
    // Guest memory must not change while the machine stands.
    if (!loop.paused) deliverNews();
  }

  function deliverNews(): void {
    for (const cable of cables.values()) cable.deliver();
    usb?.deliver();
  }

  function waitForHost(): boolean {
    mailbox.wait(undefined);
    if (mailbox.take()) drain();
    return !loop.ending;
  }

  const inputs = counted && new InputSchedule<InputMessage>(counted, apply);
  if (counted && inputs && data.rerun) {
    const { record, replay, stopAt } = data.rerun;
    if (record) inputs.onApplied = (timed) => post({ t: 'applied', timed });
    if (replay) inputs.replay(replay);
    if (stopAt !== undefined && !data.restoring) stopLater(stopAt);
  }
  /** Stops at the machine time `at` and tells the state. */
  function stopLater(at: number): void {
    counted!.after(at - counted!.now(), () => {
      loop.pause();
      flush();
      post({ t: 'stopped', stateHash: hash() });
    });
  }
  function restore(tree: MachineTree, changed?: Uint32Array): void {
    if (changed) machine.revert(tree, changed);
    else machine.restore(tree);
    for (const cable of cables.values()) cable.restored();
    if (numbers) numbers.position = Number(tree.random) || 1;
    if (data.rerun?.stopAt !== undefined) stopLater(data.rerun.stopAt);
  }
  const input = (message: InputMessage) => (inputs ? inputs.submit(message) : apply(message));
  const hash = (): StateHash => stateHash(machine, data.memory, definition.ramBytes, definition.vramBytes, clock.now());

  type Answer = Omit<Extract<FromMachine, { t: 'done' }>, 't' | 'id'>;
  /** What each does, and its answer, now or later. */
  const commands: { [K in MachineCommand]: (answer: (answer: Answer) => void) => Answer | undefined } = {
    pause: () => {
      loop.pause();
      return {};
    },
    resume: () => {
      loop.resume();
      return { at: performance.timeOrigin + performance.now() };
    },
    reset: () => {
      input({ t: 'button', button: 'reset' });
      return {};
    },
    powerButton: () => {
      input({ t: 'button', button: 'power' });
      return {};
    },
    stop: () => {
      loop.stop();
      return {};
    },
    cpuState: () => ({ cpuState: machine.accelerator.getState() }),
    stateHash: (answer) => {
      if (!counted || loop.paused) return { stateHash: hash() };
      // Where a slice is cut for a message may lie within an instruction; at a timer it never does.
      counted.after(LATENCY_NS, () => answer({ stateHash: hash() }));
      return undefined;
    },
    saveState: (answer) => {
      const wasPaused = loop.paused;
      stoppedAt = performance.timeOrigin + performance.now();
      savePoint.request((settled) => {
        flush();
        answer({ saved: { tree: { ...machine.save(), random: numbers?.position ?? null }, settled, wasPaused, stoppedAt } });
      });
      return undefined;
    },
    stand: (answer) => {
      // As it is, even in the middle of a disk command, but with no request under way on the host. Where requests end by timers, the guest has to run for that.
      if (!counted) loop.pause();
      savePoint.request((settled) => {
        flush();
        // What was plugged in or out while it stood is not in the controller yet.
        answer({ standsFree: (settled || !counted) && !usb?.waiting });
      });
      return undefined;
    },
  };

  function handle(message: ToMachine): void {
    if (message.t === 'command') {
      const { id } = message;
      const done = (answer: Answer) => post({ t: 'done', id, ...answer });
      try {
        const answer = commands[message.command](done);
        if (answer) done(answer);
      } catch (error) {
        done({ error: asHypervueError(error).toJSON() });
      }
    } else if (message.t === 'debug') {
      const { id } = message;
      try {
        post({ t: 'done', id, debug: guestDebugger.handle(message.request) });
      } catch (error) {
        post({ t: 'done', id, error: asHypervueError(error).toJSON() });
      }
    } else if (message.t === 'restore') {
      const { id } = message;
      try {
        restore(message.tree, message.changed);
        flush();
        post({ t: 'done', id });
      } catch (error) {
        post({ t: 'done', id, error: asHypervueError(error).toJSON() });
      }
    } else if (message.t === 'blockDone') drives.get(message.drive)?.complete(message.id, message.status, message.grant);
    else input(message);
  }

  function apply(message: InputMessage): void {
    switch (message.t) {
      case 'media':
        drives.get(message.drive)?.changeMedium(message.info);
        break;
      case 'resized':
        drives.get(message.drive)?.resized(message.info);
        break;
      case 'key':
        machine.input.keyScancode(message.code, message.down);
        break;
      case 'absolute':
        machine.setDisplaySize(message.width, message.height);
        machine.input.pointerAbsolute(message.x, message.y, message.buttons);
        break;
      case 'relative':
        machine.input.pointerRelative(message.dx, message.dy, message.buttons);
        break;
      case 'displaySize':
        machine.preferDisplaySize(message.width, message.height);
        break;
      case 'serialInput':
        serials[message.index]?.feed(message.bytes);
        break;
      case 'serialBreak':
        serials[message.index]?.feedBreak();
        break;
      case 'frames':
        cables.get(message.card)?.frames(message.frames);
        if (counted) deliverNews();
        break;
      case 'carrier':
        cables.get(message.card)?.setCarrier(message.up);
        if (counted) deliverNews();
        break;
      case 'usb':
        usb?.tell(message.news);
        if (counted) deliverNews();
        break;
      case 'plugDrive':
        drives.set(message.bay.id, remoteDrive(message.bay.id, message.info));
        timedDrives.delete(message.bay.id);
        usb?.plug(usbConnectorOf(message.bay.id)!, usbDrive(message.bay, blockDevice(message.bay.id), log.child('usb')));
        if (counted) deliverNews();
        break;
      case 'unplugDrive':
        // What is under way is answered; nothing more is asked of the host.
        drives.get(message.drive)?.changeMedium(undefined);
        usb?.tell({ what: 'unplug', connector: usbConnectorOf(message.drive)! });
        if (counted) deliverNews();
        break;
      case 'button':
        if (message.button === 'reset') machine.reset('hard');
        else machine.pressPowerButton();
        break;
    }
  }

  post({ t: 'started' });
  loop.run();
  flush();
  port.close();
}

try {
  main();
} catch (error) {
  post({ t: 'failed', error: asHypervueError(error).toJSON() });
  throw error;
}
