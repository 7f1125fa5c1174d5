import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { HypervueError } from '../../util/errors.ts';
import { createLogger } from '../../util/logger.ts';
import { DriveService } from '../drives.ts';
import type { ToMachine } from '../machinemessages.ts';

/** The drives of a machine in a folder of their own, with what they send to the machine thread, log and report. */
export function driveBench() {
  const folder = mkdtempSync(path.join(tmpdir(), 'hypervue-drives-'));
  const posted: ToMachine[] = [];
  const logged: string[] = [];
  const hostErrors: HypervueError[] = [];
  const drives = new DriveService({
    folder,
    post: (message) => posted.push(message),
    onHostError: (_drive, error) => hostErrors.push(error),
    log: createLogger((level, _scope, message) => logged.push(`${level}: ${message}`)),
  });
  const end = async () => {
    await drives.close();
    rmSync(folder, { recursive: true, force: true });
  };
  return { folder, posted, logged, hostErrors, drives, end };
}
