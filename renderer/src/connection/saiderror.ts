import { ContractError } from '../../../core/contract/client.ts';
import type { ErrorDto } from '../../../core/contract/errors.ts';
import { type SaidKey, saidTexts } from '../../../core/contract/saidtexts.ts';
import { fill } from '../../../core/contract/texts.ts';

/** A failure of the page's own, said as the manager's are. */
export function saidError(
  kind: ErrorDto['kind'],
  [key, params = {}]: [key: SaidKey, params?: Record<string, string | number>],
  context: ErrorDto['context'],
  fix?: SaidKey,
): ContractError {
  return new ContractError({
    kind,
    message: fill(saidTexts[key], params),
    said: { key, params },
    context,
    ...(fix ? { fix: saidTexts[fix], saidFix: { key: fix, params: {} } } : {}),
  });
}
