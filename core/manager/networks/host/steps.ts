/** Commands that change this computer's network: lists of words, never text for a shell. */

/** Arguments of ip(8). */
export type Step = readonly string[];

/** Changes, each in order; the first makes something new, and where it fails nothing has been changed yet. */
export interface Change {
  steps: readonly Step[];
  /** What takes all of it back; the next is run where one fails. */
  undo: readonly Step[];
  /** This computer has to pass on what is for others. */
  forwarding?: boolean;
}

/** What words may be made of: nothing that `ip -batch` or a shell takes for anything else than a letter of a word. */
const WORD = /^[A-Za-z0-9+./:@_-]+$/;

const FORWARDING = 'sysctl -w net.ipv4.ip_forward=1';

/** One line of what `ip -batch` reads. Throws RangeError for a word with other characters. */
function line(step: Step): string {
  const odd = step.find((word) => !WORD.test(word));
  if (odd !== undefined) throw new RangeError(`the word ${JSON.stringify(odd)} has no place in a command`);
  return step.join(' ');
}

export const batch = (steps: readonly Step[]): string => steps.map((step) => `${line(step)}\n`).join('');

export const commandTexts = ({ steps, forwarding }: Pick<Change, 'steps' | 'forwarding'>): string[] => [
  ...steps.map((step) => `ip ${line(step)}`),
  ...(forwarding ? [FORWARDING] : []),
];
