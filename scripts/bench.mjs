// `npm run bench [-- name …]`: sets up and builds like the tests, then measures (tests/bench).
import { spawnSync } from 'node:child_process';
import { build } from './build.mjs';
import { childEnv, node24, root, setUp } from './setup.mjs';

setUp('test');
build();
const result = spawnSync(node24(), ['tests/bench/main.ts', ...process.argv.slice(2)], { cwd: root, stdio: 'inherit', env: childEnv() });
process.exitCode = result.status ?? 1;
