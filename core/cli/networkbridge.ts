import { type Command, InvalidArgumentError } from 'commander';
import { type BridgePlan, type BridgeTrial, deviceNameSchema, TRIAL_SECONDS, type Uplink } from '../contract/networks.ts';
import { table } from './output.ts';
import type { RunSession } from './session.ts';

/** An interface of this computer. */
export function interfaceName(text: string): string {
  if (deviceNameSchema.safeParse(text).success) return text;
  throw new InvalidArgumentError('an interface of this computer is wanted, as br0');
}

function seconds(text: string): number {
  const number = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  const { least, most } = TRIAL_SECONDS;
  if (number >= least && number <= most) return number;
  throw new InvalidArgumentError(`seconds are a number from ${least} to ${most}`);
}

function uplinkRow({ device, up, carrier, addresses, defaultRoute, managedBy, refusal }: Uplink): string[] {
  const state = up ? (carrier ? 'connected' : 'no cable') : 'off';
  return [device, state, addresses.join(', ') || '-', defaultRoute ? 'yes' : '-', managedBy ?? '-', refusal ? 'no' : 'yes'];
}

const planText = ({ commands, undo }: BridgePlan): string => ['Run:', ...commands, '', 'Taken back by:', ...undo].join('\n');

function trialText(trial: BridgeTrial | null): string {
  if (!trial) return 'No bridge is being tried.';
  const { uplink, bridge, state, leftMs, undo } = trial;
  if (state === 'lost') return [`What watched over ${bridge} is gone. As root, this takes it back:`, ...undo].join('\n');
  return `${uplink} is in ${bridge}, and is taken back in ${Math.ceil(leftMs / 1000)} s. Keep it with \`hypervue network bridge keep\`.`;
}

/** `hypervue network bridge …`: bridges of this computer, tried before they stay. */
export function addBridges(network: Command, run: RunSession): void {
  const bridge = network
    .command('bridge')
    .description('make a bridge of an interface of this computer, taken back unless it is kept in time');
  bridge
    .command('uplinks')
    .description('interfaces that a bridge can be made of')
    .action(() =>
      run(true, async (session) => {
        session.print(await session.client.call('network.uplinks', {}), (uplinks) =>
          table(['INTERFACE', 'STATE', 'ADDRESSES', 'DEFAULT ROUTE', 'SET UP BY', 'USABLE'], uplinks.map(uplinkRow)),
        );
      }),
    );
  bridge
    .command('plan')
    .argument('<interface>', 'of this computer', interfaceName)
    .description('what `add` would run, without running it')
    .option('--name <bridge>', 'a free one unless given', interfaceName)
    .action((uplink: string, { name }: { name?: string }) =>
      run(true, async (session) => {
        session.print(await session.client.call('network.planBridge', { uplink, ...(name ? { bridge: name } : {}) }), planText);
      }),
    );
  bridge
    .command('add')
    .argument('<interface>', 'of this computer', interfaceName)
    .description('make it, for some seconds; its addresses and routes move to the bridge')
    .option('--name <bridge>', 'a free one unless given', interfaceName)
    .option('--seconds <n>', 'until it is taken back', seconds, TRIAL_SECONDS.usual)
    .action((uplink: string, { name, seconds: length }: { name?: string; seconds: number }) =>
      run(true, async (session) => {
        const plan = await session.client.call('network.planBridge', { uplink, ...(name ? { bridge: name } : {}) });
        if (!session.json) process.stdout.write(`${plan.commands.join('\n')}\n`);
        session.print(await session.client.call('network.applyBridge', { uplink, bridge: plan.bridge, seconds: length }), trialText);
      }),
    );
  bridge
    .command('status')
    .description('the one that is being tried')
    .action(() =>
      run(true, async (session) => {
        session.print(await session.client.call('network.bridgeTrial', {}), trialText);
      }),
    );
  bridge
    .command('keep')
    .description('it stays, until this computer is started again')
    .action(() =>
      run(true, async (session) => {
        session.print(await session.client.call('network.keepBridge', {}), () => '');
      }),
    );
  bridge
    .command('undo')
    .description('take it back now')
    .action(() =>
      run(true, async (session) => {
        session.print(await session.client.call('network.undoBridge', {}), () => '');
      }),
    );
  for (const command of bridge.commands) command.exitOverride().option('--json', 'as JSON');
}
