// `npm start`: set up, build what changed, open the app. Electron where its runtime and a display exist, else headless mode.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { build } from './build.mjs';
import { childEnv, electronRuntime, node24, root, setUp } from './setup.mjs';

const args = process.argv.slice(2);
try {
  setUp('start');
  build();
} catch (error) {
  console.error(`Hypervue could not be started: ${error.message}`);
  process.exit(1);
}
const display = process.platform !== 'linux' || Boolean(process.env.DISPLAY || process.env.WAYLAND_DISPLAY);
const headless = args.includes('--headless') || !display || !electronRuntime();
const rest = args.filter((arg) => arg !== '--headless');
const child = headless
  ? spawn(node24(), [path.join(root, 'out', 'main', 'cli.js'), 'serve', ...rest], { stdio: 'inherit', env: childEnv() })
  : spawn(node24(), [path.join(root, 'node_modules', 'electron', 'cli.js'), root, ...rest], { stdio: 'inherit', env: childEnv() });
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 0)));
