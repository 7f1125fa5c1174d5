/** The line to the manager, whichever way this process was forked. */
export interface ParentPort<To, From> {
  send(message: From): void;
  onMessage(listener: (message: To) => void): void;
  onClose(listener: () => void): void;
}

/** Electron gives a utility process `process.parentPort`; child_process.fork gives `process.send`. */
interface UtilityParentPort {
  postMessage(message: unknown): void;
  on(event: 'message', listener: (event: { data: unknown }) => void): void;
}

export function connectParent<To, From>(): ParentPort<To, From> {
  const utility = (process as unknown as { parentPort?: UtilityParentPort }).parentPort;
  if (utility)
    return {
      send: (message) => utility.postMessage(message),
      onMessage: (listener) => utility.on('message', (event) => listener(event.data as To)),
      // Electron ends a utility process together with its parent.
      onClose: () => {},
    };
  if (!process.send) throw new Error('this process is started by Hypervue, not by hand');
  return {
    send: (message) => {
      if (process.connected) process.send!(message, undefined, undefined, () => {});
    },
    onMessage: (listener) => process.on('message', (message) => listener(message as To)),
    onClose: (listener) => process.on('disconnect', listener),
  };
}
