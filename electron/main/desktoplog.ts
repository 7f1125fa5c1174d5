import { appendFileSync, mkdirSync, renameSync, statSync } from 'node:fs';
import path from 'node:path';
import { createLogger, type Logger } from '../../core/util/logger.ts';

/** A log this large becomes `.1`, whose predecessor goes. */
const MAX_BYTES = 1024 * 1024;

export const logFile = (folder: string) => path.join(folder, 'desktop.log');

/** The main process's log file; also on standard error. Never fails: a full disk must not stop machines. */
export function desktopLog(folder: string): Logger {
  const file = logFile(folder);
  return createLogger((level, scope, message) => {
    if (level === 'debug') return;
    const line = `${new Date().toISOString()} [${level}] ${scope ? `${scope}: ` : ''}${message}\n`;
    try {
      process.stderr.write(line);
      mkdirSync(folder, { recursive: true });
      if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) > MAX_BYTES) renameSync(file, `${file}.1`);
      appendFileSync(file, line);
    } catch {
      // Nowhere left to say it.
    }
  });
}
