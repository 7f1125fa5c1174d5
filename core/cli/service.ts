import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { homedir, userInfo } from 'node:os';
import path from 'node:path';
import { type Command, InvalidArgumentError } from 'commander';
import { writeFileAtomic } from '../platform/atomicfile.ts';
import { fileError } from '../platform/nodefile.ts';
import { HypervueError } from '../util/errors.ts';
import { EXIT_ERROR, EXIT_OK, reportError } from './output.ts';
import { type ServiceOptions, unitText } from './serviceunit.ts';

const UNIT = 'hypervue.service';

/** Where systemd looks: of the whole system, or of this user. */
export function unitFile(system: boolean, env: NodeJS.ProcessEnv = process.env): string {
  if (system) return path.join('/etc/systemd/system', UNIT);
  return path.join(env.XDG_CONFIG_HOME ?? path.join(homedir(), '.config'), 'systemd/user', UNIT);
}

interface Answer {
  code: number;
  out: string;
}

function systemctl(system: boolean, ...args: string[]): Promise<Answer> {
  return new Promise((resolve) => {
    execFile('systemctl', [...(system ? [] : ['--user']), ...args], { timeout: 60_000 }, (error, stdout, stderr) => {
      const code = error ? (typeof error.code === 'number' ? error.code : 1) : 0;
      resolve({ code, out: (stdout || stderr || error?.message || '').trim() });
    });
  });
}

/** systemd runs this computer; elsewhere a unit can be written, and nothing more. */
const managed = () => existsSync('/run/systemd/system');

function refuse(message: string, fix: string): never {
  throw new HypervueError('permission-denied', message, { operation: 'service' }, fix);
}

async function install(options: ServiceOptions & { system: boolean; start: boolean }): Promise<string[]> {
  if (process.platform !== 'linux') throw new HypervueError('unsupported', 'services are for systemd, which only Linux has');
  if (options.system && process.getuid?.() !== 0)
    refuse('a service of the system can be installed by root only', 'Use sudo, or leave --system out for a service of your own.');
  const file = unitFile(options.system);
  try {
    mkdirSync(path.dirname(file), { recursive: true });
    await writeFileAtomic(file, unitText(options));
  } catch (error) {
    throw fileError(error, file, 'write');
  }
  const said = [`${file} is written.`];
  if (!managed()) return [...said, 'systemd does not run here; nothing was started.'];
  const steps = [['daemon-reload'], options.start ? ['enable', '--now', UNIT] : ['enable', UNIT]];
  for (const step of steps) {
    const { code, out } = await systemctl(options.system, ...step);
    if (code !== 0)
      throw new HypervueError(
        'io-error',
        `systemctl ${step.join(' ')}: ${out}`,
        { path: file, operation: 'install' },
        `See \`journalctl ${options.system ? '' : '--user '}-u ${UNIT}\`.`,
      );
  }
  if (options.start) said.push(`It runs, and starts again with ${options.system ? 'the computer' : 'your first session'}.`);
  if (!options.system) said.push(`For it to run while you are not logged in: \`loginctl enable-linger ${userInfo().username}\`.`);
  said.push('Where its link is: `hypervue service status`.');
  return said;
}

async function uninstall(system: boolean): Promise<string[]> {
  const file = unitFile(system);
  if (!existsSync(file))
    throw new HypervueError(
      'not-found',
      `there is no ${file}`,
      { path: file },
      system ? 'Leave --system out?' : 'Was it installed with --system?',
    );
  if (system && process.getuid?.() !== 0) refuse('a service of the system can be removed by root only', 'Use sudo.');
  // Its machines are saved or turned off as the unit says.
  if (managed()) await systemctl(system, 'disable', '--now', UNIT);
  try {
    rmSync(file);
  } catch (error) {
    throw fileError(error, file, 'delete');
  }
  if (managed()) await systemctl(system, 'daemon-reload');
  return [`${file} is removed. Machines, settings and tokens stay where they are.`];
}

async function status(system: boolean): Promise<{ code: number; lines: string[] }> {
  const file = unitFile(system);
  if (!existsSync(file)) return { code: EXIT_ERROR, lines: [`Not installed (${file} is not there).`] };
  if (!managed()) return { code: EXIT_ERROR, lines: [`${file} is installed; systemd does not run here.`] };
  const { out } = await systemctl(system, 'is-active', UNIT);
  const lines = [`${file}: ${out || 'unknown'}`];
  const home = /^Environment="?HYPERVUE_HOME=([^"\n]*)/m.exec(readFileSync(file, 'utf8'))?.[1];
  lines.push(`Log: journalctl ${system ? '' : '--user '}-u ${UNIT}`);
  lines.push(`Your link is in its log, and your token in ${path.join(home ?? '~/.config/hypervue', 'token')}.`);
  return { code: out === 'active' ? EXIT_OK : EXIT_ERROR, lines };
}

/** Adds `hypervue service`: the server under systemd. `cli` is the program that the unit starts. */
export function addServiceCommand(program: Command, cli: string): void {
  const service = program.command('service').description('run `hypervue serve` as a service of systemd');
  const act = (work: () => Promise<{ code: number; lines: string[] }>) =>
    work()
      .then(({ code, lines }) => {
        process.stdout.write(`${lines.join('\n')}\n`);
        process.exitCode = code;
      })
      .catch((error) => {
        reportError(error, false);
        process.exitCode = EXIT_ERROR;
      });
  const port = (value: string) => {
    const parsed = Number(value);
    if (!Number.isInteger(parsed) || parsed < 1 || parsed > 65_535)
      throw new InvalidArgumentError('must be a whole number from 1 to 65535');
    return parsed;
  };
  service
    .command('install')
    .description('write the unit, enable and start it')
    .option('--system', 'for the whole system, instead of for you')
    .option('--user-name <name>', 'with --system: the user that it runs as', 'hypervue')
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <number>', 'TCP port', port, 6880)
    .option('--tls', 'encrypt with a certificate of our own making')
    .option('--no-start', 'enable it, and start it with the next session or boot')
    .option('--print', 'only show the unit')
    .action((flags: { system?: boolean; userName: string; host: string; port: number; tls?: boolean; start: boolean; print?: boolean }) =>
      act(async () => {
        const options = {
          node: process.execPath,
          cli,
          host: flags.host,
          port: flags.port,
          tls: flags.tls === true,
          user: flags.system ? flags.userName : undefined,
          home: process.env.HYPERVUE_HOME,
        };
        if (flags.print) return { code: EXIT_OK, lines: [unitText(options).trimEnd()] };
        return { code: EXIT_OK, lines: await install({ ...options, system: flags.system === true, start: flags.start }) };
      }),
    );
  service
    .command('uninstall')
    .description('stop it and remove the unit; machines and settings stay')
    .option('--system', 'that of the whole system')
    .action((flags: { system?: boolean }) => act(async () => ({ code: EXIT_OK, lines: await uninstall(flags.system === true) })));
  service
    .command('status')
    .description('whether it is installed and runs')
    .option('--system', 'that of the whole system')
    .action((flags: { system?: boolean }) => act(() => status(flags.system === true)));
}
