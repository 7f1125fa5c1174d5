import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { readPassphrase } from './passphrase.ts';
import { type Command, InvalidArgumentError } from 'commander';
import { events, type MethodName, type Result } from '../contract/methods.ts';
import type { VmStateName, VmSummary } from '../contract/vm.ts';
import { readableBytes } from '../util/bytes.ts';
import { HypervueError } from '../util/errors.ts';
import { EXIT_ERROR, EXIT_OK, reportError, table } from './output.ts';
import { addCheckCommand, tellProblems } from './startchecks.ts';
import { addDriveVerbs, driveId } from './driveverbs.ts';
import type { RunSession, Session } from './session.ts';
import { doWithSeveral, refuseNone, select, type Selection, selecting, wantsOne } from './several.ts';

const wholeNumber = (value: string) => {
  if (!/^\d+$/.test(value)) throw new InvalidArgumentError('must be a whole number');
  return Number(value);
};

/** Resolves once the machine is in one of `states`; rejects with 'timeout'. */
async function waitForState(session: Session, vm: VmSummary, states: VmStateName[], seconds: number): Promise<VmSummary> {
  return new Promise((resolve, reject) => {
    const done = (summary: VmSummary) => {
      if (!states.includes(summary.state)) return;
      clearTimeout(timer);
      off();
      resolve(summary);
    };
    const off = session.client.on('vm.changed', (summary) => {
      if (summary.id === vm.id) done(summary);
    });
    const timer = setTimeout(() => {
      off();
      reject(
        new HypervueError(
          'timeout',
          `${vm.name} was not ${states.join(' or ')} within ${seconds} s`,
          { object: vm.name, operation: 'wait' },
          'Wait longer with --timeout, or use `hypervue force-off`.',
        ),
      );
    }, seconds * 1000);
    session.client.call('vm.get', { id: vm.id }).then(done, reject);
  });
}

const stateLine = (vm: VmSummary) => `${vm.name}: ${vm.state}`;

function addLifecycle(program: Command, run: RunSession): void {
  const verb = (
    name: string,
    description: string,
    method: 'vm.pause' | 'vm.resume' | 'vm.restart' | 'vm.reset' | 'vm.forceOff' | 'vm.saveState' | 'vm.discardState',
    bulk?: { type: 'pause' | 'resume' | 'restart' | 'reset' | 'forceOff' | 'saveState'; done: string },
  ) => {
    if (!bulk) {
      program
        .command(`${name} <machine>`)
        .description(description)
        .action((machine: string) =>
          run(false, async (session) => {
            const { id } = await session.machine(machine);
            session.print(await session.client.call(method, { id }), stateLine);
          }),
        );
      return;
    }
    const command = selecting(program.command(`${name} [machines...]`).description(description));
    command.action((machines: string[], options: Selection) => {
      refuseNone(command, machines, options);
      return run(false, async (session) => {
        if (!wantsOne(machines, options))
          return doWithSeveral(session, await select(session, machines, options), { type: bulk.type }, bulk.done);
        const { id } = await session.machine(machines[0]!);
        session.print(await session.client.call(method, { id }), stateLine);
      });
    });
  };
  const start = selecting(
    program.command('start [machines...]').description('start machines; one whose state was saved goes on from there'),
  )
    .option('--reset-nvram', 'let UEFI begin with its default settings; the old ones are kept in a file beside them')
    .option('--despite-disks', 'go on from the saved state although the files of its disks were copied or touched since')
    .option('--passphrase-file <file>', 'file with the passphrase of encrypted disks');
  start.action((machines: string[], options: Selection & { resetNvram?: boolean; despiteDisks?: boolean; passphraseFile?: string }) => {
    refuseNone(start, machines, options);
    const one = wantsOne(machines, options);
    if (!one && (options.resetNvram || options.passphraseFile !== undefined))
      start.error('error: these options are for one machine at a time');
    return run(false, async (session) => {
      if (!one) {
        const selected = await select(session, machines, options);
        const despite = options.despiteDisks ? { despiteDisks: selected.map((vm) => vm.id) } : {};
        return doWithSeveral(session, selected, { type: 'start', ...despite }, 'started', (failed) => tellProblems(session, failed));
      }
      const { id } = await session.machine(machines[0]!);
      if (options.resetNvram) await session.client.call('vm.resetFirmware', { id });
      const passphrase = options.passphraseFile === undefined ? {} : { passphrase: readPassphrase(options.passphraseFile) };
      try {
        session.print(await session.client.call('vm.start', { id, despiteDisks: options.despiteDisks ?? false, ...passphrase }), stateLine);
        return EXIT_OK;
      } catch (error) {
        reportError(error, session.json);
        await tellProblems(session, [id]);
        return EXIT_ERROR;
      }
    });
  });
  addCheckCommand(program, run);
  verb('save', 'write the whole state of a running machine to its folder and end it; `start` goes on from there', 'vm.saveState', {
    type: 'saveState',
    done: 'saved',
  });
  verb('discard-state', 'throw the saved state away: the machine is off, as after a power cut', 'vm.discardState');
  verb('pause', 'stop guests where they are', 'vm.pause', { type: 'pause', done: 'paused' });
  verb('resume', 'let paused guests go on', 'vm.resume', { type: 'resume', done: 'running' });
  const shutdown = selecting(program.command('shutdown [machines...]').description('press the ACPI power button; the guest decides'))
    .option('--wait', 'wait until they are off')
    .option('--timeout <seconds>', 'how long to wait', wholeNumber, 120);
  shutdown.action((machines: string[], options: Selection & { wait?: boolean; timeout: number }) => {
    refuseNone(shutdown, machines, options);
    return run(false, async (session) => {
      const wanted = await select(session, machines, options);
      if (wantsOne(machines, options)) {
        const vm = wanted[0]!;
        let after = await session.client.call('vm.shutdown', { id: vm.id });
        if (options.wait) after = await waitForState(session, vm, ['off', 'crashed', 'saved'], options.timeout);
        session.print(after, stateLine);
        return after.state === 'crashed' ? EXIT_ERROR : EXIT_OK;
      }
      const code = await doWithSeveral(session, wanted, { type: 'shutdown' }, 'asked to shut down');
      if (!options.wait || code !== EXIT_OK) return code;
      const after = await Promise.all(wanted.map((vm) => waitForState(session, vm, ['off', 'crashed', 'saved'], options.timeout)));
      return after.some(({ state }) => state === 'crashed') ? EXIT_ERROR : EXIT_OK;
    });
  });
  verb('restart', 'press the ACPI power button, and start the guest again when it has shut down', 'vm.restart', {
    type: 'restart',
    done: 'asked to restart',
  });
  verb('reset', 'press the reset button', 'vm.reset', { type: 'reset', done: 'reset' });
  verb('force-off', 'turn the machine off at once, like pulling the plug', 'vm.forceOff', { type: 'forceOff', done: 'off' });
}

function addInformation(program: Command, run: RunSession): void {
  program
    .command('list')
    .description('machines of the library with their states')
    .action(() =>
      run(true, async (session) => {
        session.print(await session.client.call('vm.list', {}), (machines) =>
          machines.length
            ? table(
                ['NAME', 'STATE', 'MEMORY', 'ID'],
                machines.map((vm) => [
                  vm.name,
                  vm.problem && vm.state === 'off' ? 'problem' : vm.state,
                  vm.config ? `${vm.config.memoryMiB} MiB` : '-',
                  vm.id,
                ]),
              )
            : 'There are no machines. Create one with `hypervue create`.',
        );
      }),
    );
  program
    .command('info [machine]')
    .description('everything about a machine, or about this computer without one')
    .action((machine: string | undefined) =>
      run(true, async (session) => {
        if (machine === undefined) session.print(await session.client.call('host.info', {}), (info) => JSON.stringify(info, undefined, 2));
        else {
          const vm = await session.machine(machine);
          const hardware = await session.client.call('vm.hardware', { id: vm.id });
          session.print({ ...vm, hardware }, () => describe(vm, hardware));
        }
      }),
    );
  program
    .command('log <machine>')
    .description('what happened to a machine')
    .option('-n, --lines <count>', 'newest lines only', wholeNumber, 200)
    .action((machine: string, options: { lines: number }) =>
      run(true, async (session) => {
        const { id } = await session.machine(machine);
        session.print(await session.client.call('vm.log', { id, lines: options.lines }), (entries) =>
          entries.map(({ time, level, scope, message }) => `${time} ${level.padEnd(5)} ${scope}: ${message}`).join('\n'),
        );
      }),
    );
  program
    .command('events')
    .description('print what happens, one JSON object a line, until Ctrl+C')
    .action(() =>
      run(false, async (session) => {
        for (const name of Object.keys(events) as (keyof typeof events)[])
          session.client.on(name, (payload: unknown) => process.stdout.write(`${JSON.stringify({ event: name, payload })}\n`));
        await new Promise<void>((resolve) => session.client.onClose(resolve));
        throw new HypervueError('io-error', 'the server ended the connection', { operation: 'events' });
      }),
    );
}

function describe(vm: VmSummary, hardware: { label: string; detail: string }[]): string {
  const lines = [`Name:     ${vm.name}`, `State:    ${vm.state}`, `Id:       ${vm.id}`, `Folder:   ${vm.folder}`];
  if (vm.problem) lines.push(`Problem:  ${vm.problem.message}${vm.problem.fix ? `. ${vm.problem.fix}` : ''}`);
  if (vm.display) lines.push(`Display:  ${vm.display.width}x${vm.display.height}${vm.display.text ? ' text' : ''}`);
  if (vm.stats)
    lines.push(
      `Load:     ${(vm.stats.cpu * 100).toFixed(0)} % of a processor, ${(vm.stats.instructionsPerSecond / 1e6).toFixed(1)} million instructions/s`,
      `Uptime:   ${Math.floor(vm.stats.uptimeSeconds)} s`,
    );
  return [...lines, '', ...hardware.map(({ label, detail }) => `${label}: ${detail}`)].join('\n');
}

function addScreen(program: Command, run: RunSession): void {
  program
    .command('screenshot <machine> <file>')
    .description("save the machine's picture as PNG; - writes it to standard output")
    .action((machine: string, file: string) =>
      run(false, async (session) => {
        const { id } = await session.machine(machine);
        const { png, width, height } = await session.client.call('vm.screenshot', { id });
        const bytes = Buffer.from(png, 'base64');
        if (file === '-') {
          await new Promise<void>((resolve) => process.stdout.write(bytes, () => resolve()));
          return;
        }
        await writeFile(file, bytes);
        session.print({ file: path.resolve(file), width, height }, () => `${file}: ${width}x${height}`);
      }),
    );
  program
    .command('screen <machine>')
    .description('print the text screen')
    .action((machine: string) =>
      run(false, async (session) => {
        const vm = await session.machine(machine);
        const screen = await session.client.call('vm.screenText', { id: vm.id });
        if (!screen && !session.json)
          throw new HypervueError(
            'invalid-state',
            `${vm.name} shows graphics, not text`,
            { object: vm.name },
            'Use `hypervue screenshot`.',
          );
        session.print(screen, (text) => `${text!.rows.map((row) => row.trimEnd()).join('\n')}\n`);
      }),
    );
  program
    .command('type <machine> <text>')
    .description('type text as keystrokes of a US keyboard; \\n is Enter, \\t Tab, \\\\ a backslash')
    .option('--delay <ms>', 'milliseconds between keys', wholeNumber)
    .action((machine: string, text: string, options: { delay?: number }) =>
      run(false, async (session) => {
        const { id } = await session.machine(machine);
        const unescaped = text.replaceAll(/\\([nt\\])/g, (_, c: string) => ({ n: '\n', t: '\t', '\\': '\\' })[c]!);
        await session.client.call('vm.typeText', { id, text: unescaped, delayMs: options.delay });
        session.print(null, () => '');
      }),
    );
  program
    .command('send-key <machine> <chords...>')
    .description('press keys together, for example ctrl+alt+delete; several chords one after the other')
    .action((machine: string, chords: string[]) =>
      run(false, async (session) => {
        const { id } = await session.machine(machine);
        for (const chord of chords) await session.client.call('vm.sendKeys', { id, keys: chord.toLowerCase().split('+') });
        session.print(null, () => '');
      }),
    );
}

const deletionText = ({ folder, bytes, snapshots, keeps, refusal }: Result<'vm.planDelete'>) =>
  [
    `- ${folder} goes to the trash: ${readableBytes(bytes)}${snapshots ? `, with ${snapshots} ${snapshots === 1 ? 'snapshot' : 'snapshots'}` : ''}`,
    ...keeps.map((file) => `- ${file} stays`),
    ...(refusal ? [`! Not now: ${refusal.message}. ${refusal.fix ?? ''}`.trimEnd()] : []),
  ].join('\n');

function addLibrary(program: Command, run: RunSession): void {
  const remove = selecting(
    program
      .command('delete [machines...]')
      .description('move machines that are off to the trash; their numbers bring them back with `restore`')
      .option('--dry-run', 'only tell what would go, what would stay, and what keeps it from being done'),
  );
  remove.action((machines: string[], options: Selection & { dryRun?: boolean }) => {
    refuseNone(remove, machines, options);
    return run(true, async (session) => {
      if (options.dryRun) {
        const chosen = wantsOne(machines, options) ? [await session.machine(machines[0]!)] : await select(session, machines, options);
        const plans = await Promise.all(chosen.map(({ id }) => session.client.call('vm.planDelete', { id })));
        session.print(plans, (all) => all.map(deletionText).join('\n'));
        return undefined;
      }
      if (!wantsOne(machines, options))
        return doWithSeveral(session, await select(session, machines, options), { type: 'delete' }, 'in the trash as');
      const vm = await session.machine(machines[0]!);
      session.print(
        await session.client.call('vm.delete', { id: vm.id }),
        ({ trashId }) => `${vm.name} is in the trash: hypervue restore ${trashId}`,
      );
    });
  });
  program
    .command('restore <trash-id>')
    .description('bring a deleted machine back')
    .action((trashId: string) =>
      run(true, async (session) => {
        session.print(await session.client.call('vm.restore', { trashId }), stateLine);
      }),
    );
  program
    .command('media <machine> <drive> [file]')
    .description('put a medium into a removable drive (fd0, ide2 …), also while it runs; without a file, eject')
    .action((machine: string, drive: string, file: string | undefined) =>
      run(true, async (session) => {
        const { id } = await session.machine(machine);
        const summary = await session.client.call('vm.changeMedium', {
          id,
          drive: driveId(drive),
          path: file === undefined ? null : path.resolve(file),
        });
        session.print(summary, (vm) => `${vm.name}: ${drive} ${file === undefined ? 'is empty' : `holds ${file}`}`);
      }),
    );
  addDriveVerbs(program, run);
  program
    .command('call <method> [params]')
    .description('call any method of the contract with JSON parameters and print the result as JSON')
    .action((method: string, params: string | undefined) =>
      run(false, async (session) => {
        let parsed: unknown;
        try {
          parsed = JSON.parse(params ?? '{}');
        } catch {
          throw new HypervueError('invalid-argument', 'the parameters are not JSON', { operation: method });
        }
        const result = await session.client.call(method as MethodName, parsed as never);
        process.stdout.write(`${JSON.stringify(result)}\n`);
      }),
    );
}

/** Every verb that is one or two calls of the contract. */
export function addVerbs(program: Command, run: RunSession): void {
  addInformation(program, run);
  addLifecycle(program, run);
  addScreen(program, run);
  addLibrary(program, run);
}
