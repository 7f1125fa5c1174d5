/** Where a component reports what a person may need to read later. Guest mistakes are `guest`, at a bounded rate. */
export interface Logger {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
  /** A guest did something the hardware would tolerate; rate-limited by the implementation. */
  guest(message: string): void;
  child(scope: string): Logger;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'guest';

/** A logger over one sink. Guest messages are limited to `guestBurst` per scope and then counted silently. */
export function createLogger(sink: (level: LogLevel, scope: string, message: string) => void, scope = '', guestBurst = 20): Logger {
  let guestMessages = 0;
  return {
    debug: (m) => sink('debug', scope, m),
    info: (m) => sink('info', scope, m),
    warn: (m) => sink('warn', scope, m),
    error: (m) => sink('error', scope, m),
    guest(m) {
      guestMessages++;
      if (guestMessages < guestBurst) sink('guest', scope, m);
      else if (guestMessages === guestBurst) sink('guest', scope, `${m} (further guest messages of this device are dropped)`);
    },
    child: (name) => createLogger(sink, scope ? `${scope}.${name}` : name, guestBurst),
  };
}

export const nullLogger: Logger = createLogger(() => {});
