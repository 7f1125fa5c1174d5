import type { Command } from 'commander';
import { mostUrgentFirst } from '../contract/checkorder.ts';
import type { Check, StartCheck } from '../contract/vm.ts';
import { EXIT_ERROR, EXIT_OK } from './output.ts';
import type { RunSession, Session } from './session.ts';
import { refuseNone, select, type Selection, selecting } from './several.ts';

const mark = ({ ok, severity }: Check) => (ok ? 'ok' : severity);
const lines = (checks: readonly Check[]) =>
  mostUrgentFirst(checks).flatMap((check) => [
    `  ${mark(check).padEnd(8)} ${check.ok ? `${check.id}: ` : ''}${check.message}`,
    ...(!check.ok && check.fix ? [`  ${''.padEnd(8)} ${check.fix}`] : []),
  ]);

const stops = ({ error, checks }: StartCheck) => error !== null || checks.some(({ ok, severity }) => !ok && severity === 'error');
const verdict = (machine: StartCheck) =>
  stops(machine) ? 'cannot start' : machine.checks.every(({ ok }) => ok) ? 'can start' : 'can start, with warnings';
const text = (machine: StartCheck) =>
  [
    `${machine.name}: ${verdict(machine)}`,
    ...(machine.error ? [`  error    ${[machine.error.message, machine.error.fix].filter(Boolean).join('. ')}`] : []),
    ...lines(machine.checks),
  ].join('\n');

/** Of machines whose start failed: all that stands in the way or is doubtful, on standard error. With --json `check` is there to ask for it. */
export async function tellProblems(session: Session, ids: readonly string[]): Promise<void> {
  if (session.json || ids.length === 0) return;
  const found = await session.client.call('vm.check', { ids: [...ids] }).catch(() => []);
  for (const { name, checks } of found) {
    const problems = checks.filter(({ ok }) => !ok);
    if (problems.length) process.stderr.write(`${name}:\n${lines(problems).join('\n')}\n`);
  }
}

/** Adds `hypervue check`. */
export function addCheckCommand(program: Command, run: RunSession): void {
  const check = selecting(
    program.command('check [machines...]').description('what machines would meet if they were started now; nothing is started or changed'),
  );
  check.action((machines: string[], options: Selection) => {
    refuseNone(check, machines, options);
    return run(true, async (session) => {
      const ids = (await select(session, machines, options)).map(({ id }) => id);
      const found = await session.client.call('vm.check', { ids });
      session.print(found, (all) => all.map(text).join('\n'));
      return found.some(stops) ? EXIT_ERROR : EXIT_OK;
    });
  });
}
