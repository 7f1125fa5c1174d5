import { ContractError } from '../contract/client.ts';
import type { ErrorDto } from '../contract/errors.ts';
import { asHypervueError } from '../util/errors.ts';

/** Exit codes of every command but `run`. */
export const EXIT_OK = 0;
export const EXIT_ERROR = 1;
/** Wrong options or arguments, as commander gives them. */
export const EXIT_USAGE = 2;

/** What failed, to what, and what to do, on standard error; as one JSON object a line with --json. */
export function reportError(error: unknown, json: boolean): void {
  const dto: ErrorDto = error instanceof ContractError ? error.dto : asHypervueError(error).toJSON();
  if (json) {
    process.stderr.write(`${JSON.stringify({ error: dto })}\n`);
    return;
  }
  const { object } = dto.context;
  const about = typeof object === 'string' && object !== '' && !dto.message.includes(object) ? `${object}: ` : '';
  process.stderr.write(`hypervue: ${about}${dto.message}\n`);
  if (dto.fix) process.stderr.write(`${dto.fix}\n`);
}

/** Rows under headings, columns as wide as their longest cell. */
export function table(headings: string[], rows: string[][]): string {
  const widths = headings.map((heading, column) => Math.max(heading.length, ...rows.map((row) => row[column]!.length)));
  const line = (cells: string[]) =>
    cells
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd();
  return [line(headings), ...rows.map(line)].join('\n');
}

/** '4G', '512M', '10GiB' or plain bytes, in powers of 1024. Undefined when it is none. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?$/i.exec(text.trim());
  if (!match) return undefined;
  const power = ['', 'K', 'M', 'G', 'T'].indexOf(match[2]!.toUpperCase());
  const bytes = Math.round(Number(match[1]) * 1024 ** power);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
