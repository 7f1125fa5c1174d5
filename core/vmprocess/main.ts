import path from 'node:path';
import type { GdbListen } from '../contract/debug.ts';
import type { FromVmProcess, ToVmProcess, VmCalls, VmProcessStart } from '../engine/builtin/protocol.ts';
import { readProfile } from '../debug/readprofile.ts';
import { type GdbArchitecture, gdbArchitecture } from '../debug/registers.ts';
import { connectParent } from '../platform/parentport.ts';
import { createRfbPlatform } from '../platform/rfbplatform.ts';
import { asHypervueError, HypervueError } from '../util/errors.ts';
import { nullLogger } from '../util/logger.ts';
import { RfbServer } from '../vnc/rfbserver.ts';
import { ChannelServer } from './channelserver.ts';
import { GdbListener } from './gdblistener.ts';
import { runtimePaths } from './runtimepaths.ts';
import { VmHost } from './vmhost.ts';
import { VncListener } from './vnclistener.ts';

/** Milliseconds between two reports of progress. */
const PROGRESS_MS = 100;

/** Entry point of a VM process: serves the calls of engine/builtin/protocol.ts for one machine, then exits. */
const parent = connectParent<ToVmProcess, FromVmProcess>();
let host: VmHost | undefined;
/** The machine's folder, which relative paths start from. */
let folder = '';
let rfb: RfbServer | undefined;
let channels: ChannelServer | undefined;
let listener: VncListener | undefined;
let gdb: GdbListener | undefined;

function closeAll(): void {
  rfb?.close();
  listener?.close();
  channels?.close();
  void gdb?.close();
}

/** Lets queued messages reach the manager, then ends the process. */
function exitSoon(): void {
  closeAll();
  setTimeout(() => process.exit(0), 100);
}

async function start(params: VmProcessStart): Promise<null> {
  if (host) throw new HypervueError('invalid-state', 'this VM process already runs a machine');
  folder = params.folder;
  process.title = `hypervue-vm ${params.config.name}`;
  const { debug } = params.config;
  const vm = new VmHost({
    start: params,
    machineThread: runtimePaths(import.meta.url).machineThread,
    startPaused: debug.gdb !== null && debug.wait,
  });
  host = vm;
  vm.onLog.on((entry) => parent.send({ type: 'log', entry }));
  vm.onStats.on((stats) => parent.send({ type: 'stats', stats }));
  vm.onDisplayMode.on((mode) => parent.send({ type: 'display', mode }));
  vm.onUsbGone.on(() => parent.send({ type: 'usbGone' }));
  vm.onState.on(({ state, error }) => {
    const over = state === 'off' || state === 'crashed';
    const png = over && vm.lastPicture();
    if (png) parent.send({ type: 'picture', png });
    parent.send({ type: 'state', state, ...(error ? { error: error.toJSON() } : {}) });
    if (over) exitSoon();
  });
  await vm.start();
  const server = new RfbServer({
    source: vm.scanout,
    input: vm.input,
    name: params.config.name,
    platform: createRfbPlatform(),
    log: nullLogger,
    resize: (width, height) => vm.resizeDisplay(width, height),
  });
  rfb = server;
  server.desk.onChange.on(() => parent.send({ type: 'viewers', viewers: server.desk.list() }));
  vm.viewers = () => server.viewerCount;
  channels = new ChannelServer((kind, channel, viewer) => {
    if (kind === 'rfb') server.accept(channel, { viewer: { name: '', origin: 'window', ...viewer } });
    else {
      const hub = vm.serial[kind === 'serial0' ? 0 : 1];
      if (hub) hub.attach(channel);
      else channel.close();
    }
  });
  await channels.listen(params.channelSocket);
  const listen = params.config.display.listen;
  if (listen)
    listener = await VncListener.open(listen, (channel, address) =>
      server.accept(channel, {
        ...(listen.password ? { password: listen.password } : {}),
        viewer: { name: address ? `VNC ${address}` : 'VNC', origin: 'vnc' },
      }),
    );
  if (debug.gdb) {
    const { command } = await openGdb(debug.gdb);
    vm.onLog.emit({
      time: new Date().toISOString(),
      level: 'info',
      scope: 'gdb',
      message: `${command}${debug.wait ? '; the machine waits for it' : ''}`,
    });
  }
  return null;
}

async function openGdb(address: GdbListen, architecture?: GdbArchitecture): Promise<{ command: string }> {
  const vm = running();
  await gdb?.close();
  gdb = undefined;
  const place = address.type === 'unix' ? { ...address, path: path.resolve(folder, address.path) } : address;
  gdb = await GdbListener.open(place, vm.debug, architecture ?? gdbArchitecture(vm.config.cpu.model));
  return { command: gdb.command };
}

function running(): VmHost {
  if (!host) throw new HypervueError('invalid-state', 'no machine was started in this process');
  return host;
}

/** For calls whose success is the answer. Runs inside `answer`, which reports what it throws. */
async function done(action: Promise<void>): Promise<null> {
  await action;
  return null;
}

/** Tells how far a call has come. */
type Progress = (done: number, total: number) => void;

const calls: { [K in keyof VmCalls]: (params: VmCalls[K]['params'], progress: Progress) => Promise<VmCalls[K]['result']> } = {
  async start(params) {
    try {
      return await start(params);
    } catch (error) {
      const vm = host;
      if (vm && vm.state === 'running') await vm.forceOff();
      setTimeout(() => process.exit(1), 200);
      throw error;
    }
  },
  pause: () => done(running().pause()),
  resume: () => done(running().resume()),
  reset: () => done(running().reset()),
  shutdown: () => done(running().shutdown()),
  restart: () => done(running().restart()),
  forceOff: () => done(running().forceOff()),
  screenshot: async ({ maxWidth }) => running().screenshot(maxWidth),
  screenText: async () => running().screenText(),
  typeText: ({ text, delayMs }, progress) => done(running().typeText(text, delayMs, progress)),
  cancelTyping: async () => {
    running().cancelTyping();
    return null;
  },
  sendKeys: ({ keys }) => done(running().sendKeys(keys)),
  viewers: async ({ key }) => ({
    ...(rfb?.desk.list() ?? { viewers: [], holder: null }),
    you: key === undefined ? null : (rfb?.desk.idOf(key) ?? null),
  }),
  setViewing: async ({ key, action, viewer }) => {
    running();
    rfb?.desk.act(key, action, viewer);
    return null;
  },
  serialBreak: async ({ port }) => {
    running().serialBreak(port);
    return null;
  },
  openGdb: ({ address, architecture }) => openGdb(address, architecture),
  closeGdb: async () => {
    await gdb?.close();
    gdb = undefined;
    return null;
  },
  saveState: ({ file }, progress) => done(running().saveState(file, progress)),
  snapshot: (request, progress) => running().saver.snapshot(request, progress),
  async revert(request) {
    await running().revert(request);
    rfb?.repeatSize();
    return null;
  },
  cancelState: async () => {
    running().saver.cancel();
    return null;
  },
  deleteDiskSnapshots: ({ disks, tag }) => done(running().saver.deleteDiskSnapshots(disks, tag)),
  profile: (options) => readProfile(running().debug, options),
  setDrivePolicy: async ({ drive, policy }) => {
    running().media.setPolicy(drive, policy);
    return null;
  },
  plugCable: async ({ card, socket }) => {
    running().plugCable(card, socket);
    return null;
  },
  attachUsb: async ({ device }) => {
    await running().usb.attach(device);
    return null;
  },
  detachUsb: async ({ device }) => {
    running().usb.detach(device);
    return null;
  },
  listUsb: async () => running().usbList,
  overlayDisk: ({ drive, file }) => done(running().media.overlay(drive, file)),
  plugDrive: ({ drive, at, passphrase }) => done(running().plugDrive(drive, at, passphrase)),
  unplugDrive: ({ drive }) => done(running().unplugDrive(drive)),
  growDisk: ({ drive, sizeBytes }) => done(running().media.grow(drive, sizeBytes)),
  changeMedium: ({ drive, path, readOnly }) => done(running().media.changeMedium(drive, path, readOnly)),
};

async function answer(message: ToVmProcess): Promise<FromVmProcess> {
  try {
    let told = 0;
    const progress: Progress = (finished, total) => {
      const now = performance.now();
      if (now - told < PROGRESS_MS) return;
      told = now;
      parent.send({ type: 'progress', id: message.id, done: finished, total });
    };
    const result = await (calls[message.call] as (params: unknown, progress: Progress) => Promise<unknown>)(message.params, progress);
    return { type: 'result', id: message.id, result };
  } catch (error) {
    return { type: 'error', id: message.id, error: asHypervueError(error, { operation: message.call }).toJSON() };
  }
}

parent.onMessage((message) => {
  void answer(message).then((reply) => parent.send(reply));
});
// The manager is gone: nobody could reach this machine again, so its disks are flushed and it ends.
parent.onClose(() => {
  const vm = host;
  if (!vm || vm.state === 'off' || vm.state === 'crashed') process.exit(0);
  void vm.forceOff().finally(() => process.exit(0));
});
parent.send({ type: 'ready' });
