import { BridgeWizard } from '../../../../core/manager/networks/host/bridgewizard.ts';
import { HostNetworkDevices } from '../../../../core/manager/networks/host/hostnetworkdevices.ts';
import { SystemRunner } from '../../../../core/manager/networks/host/runner.ts';

/** A manager that makes a bridge in the namespace that it runs in, and is there until it is ended. Arguments: folder, uplink, bridge, seconds. */
const [folder, uplink, bridge, seconds] = process.argv.slice(2) as [string, string, string, string];
const devices = new HostNetworkDevices(new SystemRunner(), folder);
const wizard = new BridgeWizard({ devices, runtimeFolder: folder, read: () => undefined, changed: () => {} });
await wizard.apply(uplink, bridge, Number(seconds));
process.send?.('applied');
process.on('disconnect', () => process.exit(0));
