import { type Command, Option } from 'commander';
import { type HistoryRange, historyRanges } from '../contract/history.ts';
import { historyCsv } from '../contract/historycsv.ts';
import { table } from './output.ts';
import type { RunSession } from './session.ts';

/** Mean and largest of what was measured; dashes where nothing was. */
function summary(series: Readonly<Record<string, readonly (number | null)[]>>): string {
  const number = (value: number) => String(Math.round(value * 1000) / 1000);
  const rows = Object.entries(series).map(([name, values]) => {
    const known = values.filter((value) => value !== null);
    if (known.length === 0) return [name, '-', '-', '-'];
    const mean = known.reduce((sum, value) => sum + value, 0) / known.length;
    return [name, number(known.at(-1)!), number(mean), number(Math.max(...known))];
  });
  return table(['metric', 'last', 'mean', 'most'], rows);
}

/** Adds `hypervue history`. */
export function addHistoryCommand(program: Command, run: RunSession): void {
  program
    .command('history [machine]')
    .description('what a running server measured of a machine, or of the host when none is named')
    .addOption(new Option('--range <range>', 'how far back').choices(historyRanges).default('minutes'))
    .option('--csv', 'every step as CSV: bytes, shares of one CPU, counts a second')
    .action((machine: string | undefined, options: { range: HistoryRange; csv?: boolean }) =>
      run(false, async (session) => {
        const { range } = options;
        const history = machine
          ? await session.client.call('vm.history', { id: (await session.machine(machine)).id, range })
          : await session.client.call('host.history', { range });
        if (options.csv) process.stdout.write(historyCsv(history));
        else session.print(history, () => summary(history.series));
      }),
    );
}
