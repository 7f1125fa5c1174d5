import type { Logger } from '../util/logger.ts';
import type { DebugAccess } from './debugaccess.ts';
import type { DriveService } from './drives.ts';
import type { FirmwareVariables } from './firmwarevariables.ts';
import type { FromMachine } from './machinemessages.ts';
import type { RemoteInput } from './remoteinput.ts';
import type { SerialHub } from './seriallog.ts';
import type { StateHash } from './statehash.ts';
import type { VmCables } from './vmcables.ts';
import type { VmUsb } from './vmusb.ts';
import type { VmEvents } from './vmevents.ts';

/** Who hears of what the machine thread reports. */
export interface ReportReceivers {
  readonly events: VmEvents;
  readonly drives: DriveService;
  readonly cables: VmCables;
  readonly usb: VmUsb;
  readonly serial: readonly SerialHub[];
  readonly input: RemoteInput;
  readonly debug: DebugAccess;
  readonly log: Logger;
  firmwareVariables(): FirmwareVariables | undefined;
  poweredOff(state: StateHash | undefined): void;
  pointerChanged(): void;
}

/** Hands a report of the machine thread to whom it concerns. */
export function receiveReport(message: FromMachine, to: ReportReceivers): void {
  const { events } = to;
  switch (message.t) {
    case 'block':
      void to.drives.handle(message);
      break;
    case 'frames':
      to.cables.get(message.card)?.frames(message.frames);
      break;
    case 'usb':
      to.usb.handle(message);
      break;
    case 'framesTaken':
      to.cables.get(message.card)?.taken();
      break;
    case 'serialOutput':
      to.serial[message.index]?.output(message.bytes);
      break;
    case 'flash':
      to.firmwareVariables()?.update(message.offset, message.bytes);
      break;
    case 'debugOutput':
      events.onDebugOutput.emit(message.bytes);
      break;
    case 'powerOff':
      to.log.info('the guest turned the machine off');
      to.poweredOff(message.stateHash);
      break;
    case 'debugExit':
      events.onDebugExit.emit(message.code);
      break;
    case 'applied':
      events.onApplied.emit(message.timed);
      break;
    case 'stopped':
      events.onStopped.emit(message.stateHash);
      break;
    case 'tripleFault':
      to.log.warn('the guest CPU shut down (triple fault); the machine was reset');
      events.onTripleFault.emit(null);
      break;
    case 'halted':
      events.onHalted.emit(null);
      break;
    case 'debugStop':
      to.debug.stopped(message.stop);
      break;
    case 'pointerMode':
      to.input.setPointerMode(message.absolute);
      to.pointerChanged();
      break;
    case 'leds':
      to.input.setLeds(message.leds);
      break;
    case 'log':
      events.onLog.emit({ time: new Date().toISOString(), level: message.level, scope: message.scope, message: message.message });
      break;
  }
}
