import path from 'node:path';
import type { Command } from 'commander';
import type { Result } from '../contract/methods.ts';
import { readableBytes } from '../util/bytes.ts';
import { EXIT_ERROR, EXIT_OK } from './output.ts';
import type { RunSession } from './session.ts';

const planText = ({ folder, missing, sameDisk, machines, sizeBytes, freeBytes, outside, refusal }: Result<'host.planMove'>): string =>
  [
    `- ${machines} ${machines === 1 ? 'machine' : 'machines'}, ${readableBytes(sizeBytes)}, to ${folder}${missing ? ', which is made' : ''}`,
    sameDisk ? '- at once: both are on the same disk' : `- copied, compared, then removed here; ${readableBytes(freeBytes)} are free there`,
    ...outside.map((file) => `- ${file} stays`),
    ...(refusal ? [`! Not now: ${refusal.message}. ${refusal.fix ?? ''}`.trimEnd()] : []),
  ].join('\n');

/** Adds `hypervue library …`: the folder of the machines. */
export function addLibraryCommand(program: Command, run: RunSession): void {
  const group = program.command('library').description('the folder of the machines');
  group
    .command('show', { isDefault: true })
    .description('where it is, and how much is free there')
    .option('--json', 'as JSON')
    .action(() =>
      run(true, async (session) => {
        const { libraryFolder, libraryFreeBytes } = await session.client.call('host.info', {});
        session.print({ libraryFolder, libraryFreeBytes }, () => `${libraryFolder}: ${readableBytes(libraryFreeBytes)} free`);
      }),
    );
  group
    .command('move <folder>')
    .description('move all machines, which must be off, to an empty or new folder, and use that from now on')
    .option('--dry-run', 'only tell what would go, what stays, and what keeps it from being done')
    .option('--json', 'as JSON')
    .action((folder: string, options: { dryRun?: boolean }) =>
      run(true, async (session) => {
        const wanted = path.resolve(folder);
        const plan = await session.client.call('host.planMove', { path: wanted });
        if (options.dryRun) {
          session.print(plan, planText);
          return plan.refusal ? EXIT_ERROR : EXIT_OK;
        }
        await session.client.call('host.moveLibrary', { path: wanted });
        session.print({ folder: plan.folder }, () => `the machines are in ${plan.folder} now`);
        return EXIT_OK;
      }),
    );
}
