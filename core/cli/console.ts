import { type Command, InvalidArgumentError } from 'commander';
import { HypervueError } from '../util/errors.ts';
import { EXIT_OK } from './output.ts';
import type { RunSession } from './session.ts';

/** Ctrl+] leaves, as in telnet and virsh. */
const ESCAPE = 0x1d;

/** Adds `hypervue console`: standard input and output on a serial line of the machine. */
export function addConsoleCommand(program: Command, run: RunSession): void {
  program
    .command('console <machine>')
    .description('connect the terminal to a serial line; Ctrl+] leaves')
    .option(
      '--port <number>',
      'serial port, 0 or 1',
      (value) => {
        if (value !== '0' && value !== '1') throw new InvalidArgumentError('must be 0 or 1');
        return value;
      },
      '0' as '0' | '1',
    )
    .action((machine: string, options: { port: '0' | '1' }) =>
      run(false, async (session) => {
        const vm = await session.machine(machine);
        const socket = await session.openChannel(`serial${options.port}`, vm.id);
        const { stdin, stdout } = process;
        if (stdin.isTTY) {
          process.stderr.write(`Connected to ${vm.name}. Ctrl+] leaves.\r\n`);
          stdin.setRawMode(true);
        }
        try {
          await new Promise<void>((resolve, reject) => {
            socket.on('message', (data: Buffer) => {
              // A pipe that is read slowly holds the machine's output back.
              if (!stdout.write(data)) {
                socket.pause();
                stdout.once('drain', () => socket.resume());
              }
            });
            socket.on('close', (code, reason) => {
              // 4000 and above: the server says why there is no channel.
              if (code >= 4000) reject(new HypervueError('invalid-state', reason.toString(), { object: vm.name, operation: 'console' }));
              else resolve();
            });
            stdin.on('data', (chunk: Buffer) => {
              const end = stdin.isTTY ? chunk.indexOf(ESCAPE) : -1;
              if (end !== 0) socket.send(end < 0 ? chunk : chunk.subarray(0, end));
              if (end >= 0) resolve();
            });
            // Input from a pipe ends; what the guest still says is worth waiting for until the machine or the reader goes.
            stdout.on('error', () => resolve());
            socket.resume();
          });
        } finally {
          if (stdin.isTTY) stdin.setRawMode(false);
          stdin.pause();
          socket.close();
        }
        return EXIT_OK;
      }),
    );
}
