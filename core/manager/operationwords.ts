/** What is done to a machine, for sentences such as "can't take a snapshot: the machine is off". */
import type { SaidKey } from '../contract/saidtexts.ts';
import type { VmStateName } from '../contract/vm.ts';
import { type Saying, say } from '../util/say.ts';

const operations = {
  start: 'doStart',
  pause: 'doPause',
  resume: 'doResume',
  'shut down': 'doShutDown',
  restart: 'doRestart',
  reset: 'doReset',
  'force off': 'doForceOff',
  'save the state': 'doSaveState',
  'discard the saved state': 'doDiscardState',
  'take a snapshot': 'doTakeSnapshot',
  revert: 'doRevert',
  'delete a snapshot': 'doDeleteSnapshot',
  'change the hardware': 'doChangeHardware',
  'revert changes': 'doRevertChanges',
  'reset the UEFI settings': 'doResetUefi',
  'change medium': 'doChangeMedium',
  'resize a disk': 'doResizeDisk',
  'take a screenshot': 'doScreenshot',
  'read the screen': 'doReadScreen',
  type: 'doType',
  'cancel typing': 'doCancelTyping',
  'send keys': 'doSendKeys',
  'list viewers': 'doListViewers',
  'change who may use it': 'doSetViewing',
  'send a break': 'doBreak',
  'attach a USB device': 'doAttachUsb',
  'detach a USB device': 'doDetachUsb',
  'plug in a drive': 'doPlugDrive',
  'pull out a drive': 'doUnplugDrive',
  'open a debugger': 'doOpenDebugger',
  'close a debugger': 'doCloseDebugger',
  profile: 'doProfile',
  'open display': 'doOpenDisplay',
  'open serial': 'doOpenSerial',
  clone: 'doClone',
  export: 'doExport',
  'make a template': 'doTemplate',
  delete: 'doDelete',
} as const satisfies Record<string, SaidKey>;
export type Operation = keyof typeof operations;

export const operationWord = (operation: Operation): Saying => say(operations[operation]);

const states = {
  off: 'nowOff',
  starting: 'nowStarting',
  running: 'nowRunning',
  paused: 'nowPaused',
  stopping: 'nowStopping',
  crashed: 'nowCrashed',
  saved: 'nowSaved',
} as const satisfies Record<VmStateName, SaidKey>;

/** "is off", "is running", … */
export const stateWord = (state: VmStateName): Saying => say(states[state]);
