import type { Datagram, HostDatagrams, HostStream } from '../../../core/net/host.ts';
import { NodeNetwork } from '../../../core/platform/nethost.ts';

/** The world of guests in tests: every address is this computer's loopback, so that nothing leaves it. */
export class LoopbackNetwork extends NodeNetwork {
  /** Name servers that guests' questions go to. */
  servers: { address: string; port: number }[] = [];

  override connect(_address: string, port: number): HostStream {
    return super.connect('127.0.0.1', port);
  }

  override datagrams(received: Datagram, family: 4 | 6): HostDatagrams {
    let named = '127.0.0.1';
    const socket = super.datagrams((bytes, _address, port) => received(bytes, named, port), family);
    return {
      send: (bytes, address, port) => {
        named = address;
        socket.send(bytes, '127.0.0.1', port);
      },
      close: () => socket.close(),
    };
  }

  override resolvers(): readonly { address: string; port: number }[] {
    return this.servers;
  }
}
