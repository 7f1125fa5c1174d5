import { performance } from 'node:perf_hooks';
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { Interpreter } from '../cpu/interp/interpreter.ts';
import { Machine } from '../machine/machine.ts';
import { HostMachineClock } from '../machine/machineclock.ts';
import { RunLoop } from '../machine/runloop.ts';
import { Mailbox } from '../memory/mailbox.ts';
import { asHypervueError } from '../util/errors.ts';
import { createLogger } from '../util/logger.ts';
import { BatchedCharBackend } from './batchedchar.ts';
import type { FromMachine, MachineCommand, MachineThreadData, ToMachine } from './machinemessages.ts';
import { RemoteDrive } from './remotedrive.ts';

/** Entry point of the machine thread: vCPU and all devices in one loop. It never returns to the event loop; messages are polled from the port. */
const data = workerData as MachineThreadData;
const port = data.port as MessagePort;
const post = (message: FromMachine) => port.postMessage(message);
const mailbox = new Mailbox(data.memory);

function main(): void {
  const log = createLogger((level, scope, message) => post({ t: 'log', level, scope, message }));
  const clock = new HostMachineClock(() => performance.now() * 1e6, Date.now);
  const drives = new Map(data.definition.drives.map(({ id }) => [id as string, new RemoteDrive(id, data.media[id], post)]));
  const serials = Array.from(
    { length: data.definition.serialPorts },
    (_, index) => new BatchedCharBackend((bytes) => post({ t: 'serialOutput', index, bytes })),
  );
  const debug = new BatchedCharBackend((bytes) => post({ t: 'debugOutput', bytes }));
  const machine = new Machine({
    memory: data.memory,
    definition: data.definition,
    clock,
    log,
    createAccelerator: (bus) => new Interpreter({ memory: data.memory, wasm: data.cpuWasm, bus, log: log.child('cpu') }),
    drive: (id) => drives.get(id)!,
    serial: (index) => serials[index]!,
    debugConsole: debug,
    onPowerOff: () => {
      loop.pause();
      flush();
      post({ t: 'powerOff' });
    },
    onDebugExit: (code) => {
      loop.pause();
      flush();
      post({ t: 'debugExit', code });
    },
    onPointerMode: (absolute) => post({ t: 'pointerMode', absolute }),
    onLeds: (leds) => post({ t: 'leds', leds }),
  });
  const flush = () => {
    for (const serial of serials) serial.flush();
    debug.flush();
  };
  const loop: RunLoop = new RunLoop({
    accelerator: machine.accelerator,
    clock,
    mailbox,
    drain: () => {
      for (let received = receiveMessageOnPort(port); received; received = receiveMessageOnPort(port))
        handle(received.message as ToMachine);
    },
    afterSlice: () => {
      if (machine.wantsReset) machine.reset('hard');
      else machine.takeInit();
      // An answer may raise an interrupt just when the processor halted: the loop has to look before it sleeps.
      for (const drive of drives.values()) if (drive.runDeferred()) mailbox.ring();
      flush();
    },
    onShutdown: () => {
      post({ t: 'tripleFault' });
      machine.reset('hard');
    },
    onHalted: () => post({ t: 'halted' }),
  });

  const commands: { [K in MachineCommand]: () => void } = {
    pause: () => loop.pause(),
    resume: () => loop.resume(),
    reset: () => machine.reset('hard'),
    powerButton: () => machine.pressPowerButton(),
    stop: () => loop.stop(),
    cpuState: () => {},
  };

  function handle(message: ToMachine): void {
    switch (message.t) {
      case 'command':
        try {
          commands[message.command]();
          post({ t: 'done', id: message.id, ...(message.command === 'cpuState' ? { cpuState: machine.accelerator.getState() } : {}) });
        } catch (error) {
          post({ t: 'done', id: message.id, error: asHypervueError(error).toJSON() });
        }
        break;
      case 'blockDone':
        drives.get(message.drive)?.complete(message.id, message.status);
        break;
      case 'media':
        drives.get(message.drive)?.changeMedium(message.info);
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
      case 'serialInput':
        serials[message.index]?.feed(message.bytes);
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
