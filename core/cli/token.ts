import { type Command, InvalidArgumentError, Option } from 'commander';
import { type AccessToken, MAX_TOKEN_DAYS, type Role, roles } from '../contract/access.ts';
import { appFolders } from '../platform/folders.ts';
import { findServer } from '../server/serverfile.ts';
import { HypervueError } from '../util/errors.ts';
import { table } from './output.ts';
import type { RunSession, Session } from './session.ts';

const day = (iso: string | null, none: string) => (iso === null ? none : iso.slice(0, 16).replace('T', ' '));

const rows = (tokens: AccessToken[]) =>
  tokens.map(({ id, name, role, createdAt, lastUsedAt, expiresAt }) => [
    name,
    role,
    day(createdAt, ''),
    day(lastUsedAt, 'never'),
    day(expiresAt, 'never'),
    id,
  ]);

function days(value: string): number {
  const parsed = Number(value);
  if (!Number.isInteger(parsed) || parsed < 1 || parsed > MAX_TOKEN_DAYS)
    throw new InvalidArgumentError(`must be a whole number from 1 to ${MAX_TOKEN_DAYS}`);
  return parsed;
}

/** Adds `hypervue token`: who else may come in, and what they may do. */
export function addTokenCommand(program: Command, run: RunSession): void {
  const token = program.command('token').description('access tokens for others, with a name and a role');
  const verb = (usage: string, description: string) => token.command(usage).description(description).option('--json', 'as JSON');

  verb('create <name>', 'make a token; it is shown once and kept only as a hash')
    .addOption(
      new Option('--role <role>', 'view: look on; operate: use the machines there are; manage: everything').choices(roles).default('view'),
    )
    .option('--days <number>', 'refuse it after so many days', days)
    .action((name: string, options: { role: Role; days?: number }) =>
      run(true, async (session) => {
        const made = await session.client.call('access.createToken', {
          name,
          role: options.role,
          expiresInDays: options.days ?? null,
        });
        const server = findServer(appFolders().runtime);
        const link = server && `${server.url}#token=${made.secret}`;
        session.print({ ...made, link: link ?? null }, () =>
          [
            `The token of ${made.token.name} (${made.token.role}), which can't be shown again:`,
            '',
            `  ${made.secret}`,
            '',
            link ? `Its link: ${link}` : 'Its holder signs in with it where `hypervue serve` serves this library.',
          ].join('\n'),
        );
        return undefined;
      }),
    );

  verb('list', 'tokens and when they were used').action(() =>
    run(true, async (session) => {
      session.print(await session.client.call('access.tokens', {}), (tokens) =>
        tokens.length
          ? table(['name', 'role', 'made', 'last used', 'expires', 'id'], rows(tokens))
          : 'There are no tokens but your own. Make one with `hypervue token create`.',
      );
      return undefined;
    }),
  );

  verb('revoke <name>', 'refuse a token (name or id) from now on, and cut off who is connected with it').action((name: string) =>
    run(true, async (session) => {
      const { id } = await find(session, name);
      await session.client.call('access.revokeToken', { id });
      session.print({ id }, () => `${name} is revoked.`);
      return undefined;
    }),
  );

  verb('connections', 'who is connected to the running server').action(() =>
    run(false, async (session) => {
      session.print(await session.client.call('access.connections', {}), (connections) =>
        table(
          ['name', 'role', 'address', 'since'],
          connections.map(({ name: who, role, address, since }) => [who || 'owner', role, address, day(since, '')]),
        ),
      );
      return undefined;
    }),
  );
}

async function find(session: Session, name: string): Promise<AccessToken> {
  const tokens = await session.client.call('access.tokens', {});
  const found = tokens.find(({ id }) => id === name) ?? tokens.find((one) => one.name.toLowerCase() === name.toLowerCase());
  if (!found) throw new HypervueError('not-found', `there is no token named ${name}`, { object: name }, 'See `hypervue token list`.');
  return found;
}
