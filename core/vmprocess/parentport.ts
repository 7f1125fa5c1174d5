import type { FromVmProcess, ToVmProcess } from '../engine/builtin/protocol.ts';

/** The line to the manager, whichever way this process was forked. */
export interface ParentPort {
  send(message: FromVmProcess): void;
  onMessage(listener: (message: ToVmProcess) => void): void;
  onClose(listener: () => void): void;
}

/** Electron gives a utility process `process.parentPort`; child_process.fork gives `process.send`. */
interface UtilityParentPort {
  postMessage(message: unknown): void;
  on(event: 'message', listener: (event: { data: unknown }) => void): void;
}

export function connectParent(): ParentPort {
  const utility = (process as unknown as { parentPort?: UtilityParentPort }).parentPort;
  if (utility)
    return {
      send: (message) => utility.postMessage(message),
      onMessage: (listener) => utility.on('message', (event) => listener(event.data as ToVmProcess)),
      // Electron ends a utility process together with its parent.
      onClose: () => {},
    };
  if (!process.send) throw new Error('a VM process is started by Hypervue, not by hand');
  return {
    send: (message) => {
      if (process.connected) process.send!(message, undefined, undefined, () => {});
    },
    onMessage: (listener) => process.on('message', (message) => listener(message as ToVmProcess)),
    onClose: (listener) => process.on('disconnect', listener),
  };
}
