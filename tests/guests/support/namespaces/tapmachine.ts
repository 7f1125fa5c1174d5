import { connect } from 'node:net';
import { frameRecord, messageRecord, WireReader } from '../../../../core/net/wire.ts';
import { TapPort } from '../../../../core/netprocess/tapport.ts';

/** A machine whose system is the kernel of the namespace that this runs in: its TAP device is the card. Arguments: device, socket, machine, card, MAC. */
const [device, socket, vm, card, mac] = process.argv.slice(2) as [string, string, string, string, string];
const wire = connect(socket);
const port = new TapPort(device, {
  frame: (frame) => void wire.write(frameRecord(frame)),
  gone: () => process.exit(1),
});
const reader = new WireReader({
  frame: (frame) => port.send(frame),
  message: ({ type }) => {
    if (type === 'ready') process.send?.('ready');
    else process.exit(2);
  },
});
wire.on('data', (chunk) => reader.push(chunk));
wire.on('close', () => process.exit(3));
wire.on('error', () => process.exit(4));
wire.write(messageRecord({ type: 'hello', vm, card, mac, long: true }));
process.on('disconnect', () => process.exit(0));
