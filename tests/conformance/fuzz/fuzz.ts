/**
 * Differential fuzzing by hand:
 *   npx node tests/conformance/fuzz/fuzz.ts [--mode long|compat|legacy|segments|segments16|v86|system|system32|real] [--seed n] [--codes n] [--most n] [--no-host] [--whole]
 * Without --mode all of them. --whole leaves what it finds as long as it was. Exit code 1: something differs.
 */
import { parseArgs } from 'node:util';
import { dispose, unavailable } from './host.ts';
import { MODES, type Mode } from './machine.ts';
import { fuzz } from './runner.ts';

const { values } = parseArgs({
  options: {
    mode: { type: 'string' },
    seed: { type: 'string', default: '1' },
    codes: { type: 'string', default: '2000' },
    most: { type: 'string', default: '10' },
    'no-host': { type: 'boolean', default: false },
    whole: { type: 'boolean', default: false },
  },
});
const why = values['no-host'] ? 'not asked' : unavailable();
if (why) console.log(`without the host: ${why}`);
const modes = values.mode ? [values.mode as Mode] : MODES;
for (const mode of modes) {
  const start = performance.now();
  const totals = fuzz({
    mode,
    seed: Number(values.seed),
    codes: Number(values.codes),
    host: !why,
    most: Number(values.most),
    minimise: !values.whole,
  });
  for (const finding of totals.findings) console.log(`${finding.text}\n`);
  const seconds = (performance.now() - start) / 1000;
  const { cases, onHost, endless, compiled } = totals;
  console.log(
    `${mode}: ${cases} cases, ${onHost} on the host, ${endless} without an end, ${compiled} instructions in regions, ${totals.findings.length} findings, ${seconds.toFixed(1)} s`,
  );
  if (totals.findings.length) process.exitCode = 1;
}
dispose();
