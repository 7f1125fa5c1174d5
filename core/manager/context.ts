/** What every domain of the manager is made from: a domain is a function of this that gives its part of the contract's handlers. */
import type { HostInfo, Settings } from '../contract/host.ts';
import type { EventName, EventPayload } from '../contract/methods.ts';
import type { Engine } from '../engine/engine.ts';
import type { Firmware } from '../platform/firmware.ts';
import type { Logger } from '../util/logger.ts';
import type { JsonStore } from './jsonstore.ts';
import type { MachineParts } from './machineself.ts';
import type { MachineSet } from './machineset.ts';
import type { HostRunner } from './networks/host/runner.ts';
import type { NetworkLauncher } from './networks/networkprocess.ts';
import type { Systems } from './systems/opensystems.ts';
import type { Tasks } from './tasks.ts';

export interface ManagerOptions {
  /** One folder a machine; made when missing. */
  library: string;
  /** Whether it is the usual one, was chosen in the window, or was named for this very run, which counts above a choice; the usual one unless given. */
  libraryFrom?: 'usual' | 'chosen' | 'named';
  /** Keeps the choice of another library and begins again with it, a moment after it resolved; absent where nobody could. */
  changeLibrary?: ((folder: string) => Promise<void>) | undefined;
  /** Folder of settings.json. */
  configFolder: string;
  /** Image locks, shared by all managers of this user. */
  lockFolder: string;
  engine: Engine;
  /** Starts the processes of networks. */
  networkLauncher: NetworkLauncher;
  /** Looks at and changes this computer's interfaces; the system's own unless given. */
  hostRunner?: HostRunner;
  /** Private folder for the sockets that machines reach networks at. */
  runtimeFolder: string;
  /** Looked up at every use, so that firmware installed meanwhile counts. */
  firmware: () => Firmware;
  /** The same for machines with UEFI. */
  uefi: () => Firmware;
  /** Path of the check image, whether it exists or not. */
  sampleImage: string;
  /** Operating systems; without it media are told by their words only. */
  systems?: Systems;
  version: string;
  mode: HostInfo['mode'];
  log: Logger;
}

export interface ManagerContext {
  readonly options: ManagerOptions;
  readonly settings: JsonStore<Settings>;
  readonly tasks: Tasks;
  readonly machines: MachineSet;
  /** What machines are made with. */
  readonly parts: MachineParts;
  /** Pushes an event to every client. */
  emit<E extends EventName>(event: E, payload: EventPayload<E>): void;
  /** Throws 'invalid-state' when the manager is quitting. */
  refuseClosed(operation: string, object: string): void;
}
