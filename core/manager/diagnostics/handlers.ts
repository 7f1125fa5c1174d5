import type { Handlers } from '../../contract/server.ts';
import type { ManagerContext } from '../context.ts';
import { diagnose, fix } from './checks.ts';

export const diagnosticHandlers = (context: ManagerContext) =>
  ({
    'host.diagnose': () => diagnose(context),
    'host.fix': ({ id }) => fix(context, id),
  }) satisfies Partial<Handlers>;
