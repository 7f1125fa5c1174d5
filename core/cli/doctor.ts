import type { Command } from 'commander';
import type { Diagnostic, DiagnosticId, DiagnosticState } from '../contract/diagnostics.ts';
import { appFolders } from '../platform/folders.ts';
import { appVersion } from '../server/appversion.ts';
import { findServer } from '../server/serverfile.ts';
import { createLogger } from '../util/logger.ts';
import { EXIT_ERROR, EXIT_OK } from './output.ts';
import type { RunSession } from './session.ts';

const MARKS: Record<DiagnosticState, string> = { ok: 'ok     ', info: 'info   ', warning: 'warning', error: 'ERROR  ' };

const text = (checks: readonly Diagnostic[]) =>
  checks
    .flatMap(({ id, state, message, how, fixable }) => [
      `${MARKS[state]}  ${id.padEnd(9)} ${message}`,
      ...(how ? [`${' '.repeat(19)} ${how}${fixable ? ' (hypervue doctor --fix)' : ''}`] : []),
    ])
    .join('\n');

interface Doctor {
  look(): Promise<Diagnostic[]>;
  fix(id: DiagnosticId): Promise<Diagnostic>;
}

async function examine({ look, fix }: Doctor, mend: boolean): Promise<Diagnostic[]> {
  const checks = await look();
  if (!mend) return checks;
  return Promise.all(checks.map((check) => (check.fixable ? fix(check.id).catch(() => check) : check)));
}

const exitCode = (checks: readonly Diagnostic[]) => (checks.some(({ state }) => state === 'error') ? EXIT_ERROR : EXIT_OK);

/** Adds `hypervue doctor`: works beside a server and without one, also when the library can't be opened. */
export function addDoctorCommand(program: Command, run: RunSession, entry: string): void {
  program
    .command('doctor')
    .description('whether this computer has what Hypervue needs, and what to do where it has not')
    .option('--fix', 'mend what can be mended from here')
    .action(async (options: { fix?: boolean; json?: boolean }) => {
      const folders = appFolders();
      if (findServer(folders.runtime))
        return run(false, async ({ client, print }) => {
          const doctor = { look: () => client.call('host.diagnose', {}), fix: (id: DiagnosticId) => client.call('host.fix', { id }) };
          const checks = await examine(doctor, options.fix ?? false);
          print(checks, text);
          return exitCode(checks);
        });
      const [{ managerOptions }, { diagnose, fix }] = await Promise.all([
        import('../server/openmanager.ts'),
        import('../manager/diagnostics/checks.ts'),
      ]);
      const diagnosed = {
        options: managerOptions({ folders, entry, version: appVersion(entry), mode: 'headless', log: createLogger(() => {}) }),
        machines: { all: () => [] },
      };
      const checks = await examine({ look: () => diagnose(diagnosed), fix: (id) => fix(diagnosed, id) }, options.fix ?? false);
      const json = options.json ?? program.opts<{ json?: boolean }>().json;
      process.stdout.write(`${json ? JSON.stringify(checks) : text(checks)}\n`);
      process.exitCode = exitCode(checks);
    });
}
