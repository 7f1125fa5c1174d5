import type { Check } from './vm.ts';

const urgency = ({ ok, severity }: Check) => (ok ? 3 : ['error', 'warning', 'info'].indexOf(severity));

/** What is in the way first, then what is doubtful, what is worth knowing, and what is good. */
export const mostUrgentFirst = (checks: readonly Check[]): Check[] => [...checks].sort((a, b) => urgency(a) - urgency(b));
