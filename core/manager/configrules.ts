import { type CheckedConfig, configProblems } from '../contract/configrules.ts';
import { HypervueError } from '../util/errors.ts';

/** Rules between fields that the schema can't say. Throws 'invalid-argument' for the first that is broken. */
export function checkConfig(config: CheckedConfig): void {
  const [problem] = configProblems(config);
  if (problem)
    throw Object.assign(new HypervueError('invalid-argument', problem.message, { object: problem.object }), { said: problem.said });
}
