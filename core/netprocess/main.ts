import type { FromNetworkProcess, ToNetworkProcess } from '../net/processprotocol.ts';
import { NodeNetwork } from '../platform/nethost.ts';
import { connectParent } from '../platform/parentport.ts';
import { NetworkHost } from './networkhost.ts';

/** What was said last is on its way. */
const LAST_WORDS_MS = 200;

/** Entry point of the process of a network: it hosts one, until its manager ends it or is gone. */
const parent = connectParent<ToNetworkProcess, FromNetworkProcess>();
let host: NetworkHost | undefined;

async function start(message: Extract<ToNetworkProcess, { type: 'start' }>): Promise<void> {
  if (host) return;
  process.title = `hypervue-net ${message.subnet ?? message.device}`;
  let at: 'socket' | 'device' = 'device';
  try {
    host = new NetworkHost(message, new NodeNetwork(), (report) => parent.send(report), lost);
    at = 'socket';
    await host.listen();
    parent.send({ type: 'started' });
  } catch (error) {
    parent.send({ type: 'failed', at, code: (error as NodeJS.ErrnoException).code ?? String(error) });
    host?.close();
    setTimeout(() => process.exit(0), LAST_WORDS_MS);
  }
}

/** Its manager starts it again, with a new device where it can. */
function lost(device: string, code: string): void {
  process.stderr.write(`the device ${device} is gone (${code})\n`);
  setTimeout(() => process.exit(1), LAST_WORDS_MS);
}

parent.onMessage((message) => {
  switch (message.type) {
    case 'start':
      void start(message);
      break;
    case 'members':
      host?.setMembers(message.members);
      break;
    case 'forwards':
      host?.setForwards(message.forwards);
      break;
    case 'boot':
      host?.setBoot(message.boot);
  }
});
parent.onClose(() => process.exit(0));
parent.send({ type: 'ready' });
